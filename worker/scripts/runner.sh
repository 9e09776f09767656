#!/usr/bin/env bash
# The test runner: cargo-nextest, which runs the tests side by side.
#
#   runner.sh          installs it from crates.io when it is missing, then prints the folder it is in
#   runner.sh check    the same, but installs nothing
#
# One that is on the PATH is used as it is; else it is built into .cache/runner, once: some minutes, which
# the tests side by side save many times over.
set -euo pipefail

readonly NEXTEST=0.9.143
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$root/.cache/runner-$NEXTEST

if found=$(command -v cargo-nextest); then
    dirname "$found"
    exit
fi
if [[ ! -x $folder/bin/cargo-nextest ]]; then
    [[ ${1:-} != check ]] || {
        echo "runner.sh: cargo-nextest is not installed (cargo install --locked cargo-nextest)" >&2
        exit 1
    }
    echo "runner.sh: building cargo-nextest $NEXTEST, once" >&2
    # Without optimisation: it only waits for tests.
    cargo install --quiet --locked --debug --root "$folder" --version "$NEXTEST" cargo-nextest >&2
fi
echo "$folder/bin"
