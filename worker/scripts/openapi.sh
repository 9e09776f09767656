#!/usr/bin/env bash
# Schemathesis, which tries the API against its own OpenAPI document.
#
#   openapi.sh         installs it when it is missing, then prints the program
#   openapi.sh check   the same, but installs nothing
#
# It comes from PyPI into .cache/openapi, once.
set -euo pipefail

readonly SCHEMATHESIS=4.32.5
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$root/.cache/openapi
mark=$venv/schemathesis-$SCHEMATHESIS

fail() {
    echo "openapi.sh: $*" >&2
    exit 1
}

if [[ ! -e $mark ]]; then
    [[ ${1:-} != check ]] || fail "schemathesis is not installed"
    command -v python3 >/dev/null || fail "install python3 with venv, then try again"
    mkdir -p "$root/.cache"
    (
        flock 9 # several tests may begin at once
        [[ -e $mark ]] && exit
        echo "openapi.sh: installing schemathesis $SCHEMATHESIS" >&2
        python3 -m venv "$venv" >&2 || fail "python3 -m venv failed (Debian: apt-get install python3-venv)"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS" >&2 ||
            fail "pip failed; see above"
        touch "$mark"
    ) 9>"$root/.cache/openapi.lock"
fi
echo "$venv/bin/schemathesis"
