#!/usr/bin/env bash
# Posts to `flotilla sandbox` over HTTP: 2,000 of them on nine platforms while workers are killed with SIGKILL
# and answers are dropped (twice, lost, unknown: a table), 20 workers sharing quotas (exceeded, used up), and
# how late scheduled posts are and how long an instant one takes.
#
#   tests/bench/social.sh [POSTS]    default 2000; takes about a quarter of an hour
#
# The same tests run in `make test` with fewer posts. Builds the optimised binary first.
set -euo pipefail
cd "$(dirname "$0")/../.."
export FLOTILLA_TEST_POSTS=${1:-2000} FLOTILLA_TEST_WORKERS=${FLOTILLA_TEST_WORKERS:-20}
for test in social::kills social::quota; do
    cargo test --locked --release --quiet -p flotilla --test e2e -- "$test" --test-threads 1 --nocapture
done
