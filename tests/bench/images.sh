#!/usr/bin/env bash
# Our thumbnails beside sharp's, on this machine, in one run: medians and ratios (theirs divided by ours).
#   tests/bench/images.sh [DIR] [FORMAT]     pictures (the demo's) and jpeg, webp or avif (jpeg)
#
# Builds the program, installs sharp at its pinned version into .cache/images, runs both in turns on one
# core's worth of threads. Trust the ratios of one run on an otherwise idle machine, not the figures.
set -euo pipefail
photos=$(realpath "${1:-$(dirname "$0")/../fixtures/demo}")
cd "$(dirname "$0")/../.."
bench=$PWD/tests/bench/images
cache=$PWD/.cache/images

mkdir -p "$cache"
cp "$bench/package.json" "$bench/bench.mjs" "$cache/"
(cd "$cache" && npm install --no-package-lock --no-audit --no-fund --silent)
cargo build --quiet --locked --release --example thumbs -p flotilla-images
target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

exec python3 "$bench/measure.py" --thumbs "$target/release/examples/thumbs" --peer "$cache" \
    --photos "$photos" --scratch "$cache/scratch" --format "${2:-jpeg}"
