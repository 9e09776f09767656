#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, doc tests, all tests of the workspace.
# The last lines printed are the test runner's summary; above them stands the list of skipped tests.
#
# A test that cannot run here returns early after saying so twice: it prints `skipped: <reason>` and
# appends one line, `<test>: <reason>`, to the file named by FLOTILLA_SKIP_LOG (when that is set).
#
# Arguments go to the test runner: `worker/scripts/test.sh -p flotilla-core`.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export FLOTILLA_SKIP_LOG="$target/skipped-tests.txt"
mkdir -p "$target"
: >"$FLOTILLA_SKIP_LOG"
# Which case of the conformance suites ran on which backend: the matrix before the summary.
export FLOTILLA_SUITE_LOG="$target/suites.txt"
: >"$FLOTILLA_SUITE_LOG"

# The whole workspace, unless packages are named: cargo would run all of it beside a `-p`.
scope=(--workspace)
for word in "$@"; do
    [[ $word != -p && $word != --package* ]] || scope=()
done

# Copies a test run to the terminal, but puts the skipped tests before its closing summary.
skips_before_summary() {
    local first_line_of_summary=$1 closing=() line
    while IFS= read -r line; do
        if ((${#closing[@]})) || [[ $line =~ $first_line_of_summary ]]; then
            closing+=("$line")
        else
            printf '%s\n' "$line"
        fi
    done
    tests/conformance/matrix.sh "$FLOTILLA_SUITE_LOG"
    local count
    count=$(sort -u "$FLOTILLA_SKIP_LOG" | grep -c . || true)
    printf 'Skipped here: %s\n' "$count"
    sort -u "$FLOTILLA_SKIP_LOG" | sed 's/^/    skipped: /'
    ((${#closing[@]})) && printf '%s\n' "${closing[@]}"
}

with_nextest() {
    local colour=never
    [[ -t 1 && -z ${NO_COLOR:-} ]] && colour=always
    cargo nextest run --locked "${scope[@]}" --all-targets --all-features --color "$colour" "$@" 2>&1 |
        skips_before_summary 'Summary.*\[ *[0-9.]+s\]'
}

# The same tests without cargo-nextest, one at a time: those which start the binary must not run side by side.
# `cargo test` closes each test binary with its own summary, so the sum is added as the last line.
with_cargo_test() {
    # What `default-filter` in .config/nextest.toml leaves out, in this runner's words.
    local given=() left_out=(--skip alone:: --skip with_sqs:: --skip a_fleet_on_sqs) word # the AWS suites
    for word in "$@"; do
        if [[ $word == --ignore-default-filter ]]; then left_out=(); else given+=("$word"); fi
    done
    {
        local failed=0
        cargo test --locked "${scope[@]}" --all-targets --all-features --no-fail-fast "${given[@]}" \
            -- --test-threads=1 "${left_out[@]}" || failed=1
        exit "$failed"
    } 2>&1 | tee "$target/cargo-test.txt" || local status=1
    skips_before_summary '^test result: ' < <(
        awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
             END { printf "test result: %s. %d passed; %d failed; %d ignored\n",
                   (failed ? "FAILED" : "ok"), passed, failed, ignored }' "$target/cargo-test.txt"
    )
    return "${status:-0}"
}

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
cargo test --locked --workspace --all-features --doc --quiet

# Without these programs the tests of speech and videos say so and are skipped.
worker/scripts/media.sh || true
# The same for the console in a real browser.
worker/scripts/browser.sh >/dev/null || true
# And what tries the API against its document.
worker/scripts/openapi.sh >/dev/null || true
# And what generates and checks the typed clients.
worker/scripts/clients.sh >/dev/null || true

# The servers that tests talk to, one of each for all of them, on loopback ports of their own; an address
# that is given is used instead. Tests that crash or cut a server start their own.
servers=$(mktemp -d)
chmod 755 "$servers" # the servers run as users of their own
stop_servers() {
    local name
    for name in postgres rabbitmq aws; do
        [[ ! -d $servers/$name ]] || "worker/scripts/$name.sh" stop "$servers/$name" || true
    done
    rm -rf "$servers"
}
trap stop_servers EXIT
serve() { # variable, script, settings
    local variable=$1 name=$2 address
    shift 2
    [[ -z ${!variable:-} ]] || return 0
    if address=$("worker/scripts/$name.sh" start "$servers/$name" $((20000 + RANDOM % 10000)) "$@"); then
        export "$variable=$address"
    fi
}
serve FLOTILLA_TEST_POSTGRES_URL postgres fsync=off full_page_writes=off
serve FLOTILLA_TEST_AMQP_URL rabbitmq
serve FLOTILLA_TEST_AWS_ENDPOINT aws

[[ " $* " == *" --ignore-default-filter "* ]] || echo "flotilla-aws: the queue suites on DynamoDB and SQS, and their fleet under fire: the emulator is too slow for every run: make test-aws" \
    >>"$FLOTILLA_SKIP_LOG"

if runner=$(worker/scripts/runner.sh); then
    PATH=$PATH:$runner with_nextest "$@"
else
    echo "cargo-nextest could not be installed (above): using cargo test, one test at a time"
    with_cargo_test "$@"
fi
