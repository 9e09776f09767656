#!/usr/bin/env bash
# What limits cost on a lane of jobs that do nothing: the same jobs from a SQLite file with and without quotas
# (app, account, and a daily one), turn about; medians and the difference. Arguments: jobs of one run, rounds.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo run --locked --release --quiet -p flotilla-engine --example limits -- "$folder" "${1:-20000}" "${2:-5}"
