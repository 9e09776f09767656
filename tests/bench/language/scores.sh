#!/usr/bin/env bash
# Our scores beside the anchors: predictions for every set of the data directory, judged by its scorers.
#   tests/bench/language/scores.sh DATA [entities|prices|sentiment|language|products|tags|speed ...]
#
# DATA holds the sets (entities/, prices/, sentiment/, langid/, ner/, cta/, captions/,
# keywords/, categories/, trends/) and eval/*.py. A set
# that is absent is named and left out. Anchors and demands are those of the goal table. Figures for
# sets the models have learned from are marked: read the model cards for held-out ones.
set -euo pipefail
data=$(realpath "${1:?say where the data is}")
shift
cd "$(dirname "$0")/../../.."
cargo build --quiet --locked --release -p flotilla-language --example predict --example speed
target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
exec python3 tests/bench/language/scores.py --data "$data" --bin "$target/release/examples" "$@"
