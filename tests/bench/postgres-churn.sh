#!/usr/bin/env bash
# Whether PostgreSQL bloats: round after round of jobs made, done and pruned, and what a drain costs and how
# large the tables are at the end beside an early round.
#   tests/bench/postgres-churn.sh bench-postgres [jobs of a round] [rounds]     (50000 and 20)
#
# A million jobs are a week at 100 a minute. Since that week passes in minutes, autovacuum looks every
# second instead of every minute. Starts a server of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
ours=$1 jobs=${2:-50000} rounds=${3:-20}
folder=$(mktemp -d /var/tmp/flotilla-churn.XXXXXX)
trap 'worker/scripts/postgres.sh stop "$folder" || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
DATABASE_URL=$(worker/scripts/postgres.sh start "$folder" $((20000 + RANDOM % 10000)) autovacuum_naptime=1s)
export DATABASE_URL
psql=$(command -v psql || printf '%s\n' /usr/lib/postgresql/*/bin/psql | tail -n1)
size="SELECT pg_total_relation_size('flotilla_bench.job') / 1024 / 1024"

for ((round = 1; round <= rounds; round++)); do
    figures=$("$ours" churn "$jobs")
    printf 'round %2d: %s, %s MiB\n' "$round" "$figures" "$("$psql" -qAtX "$DATABASE_URL" -c "$size")"
done | tee "$folder/rounds"
awk -v early=3 -F'[ :,]+' '
    { gsub(/[{}"]/, ""); for (n = 1; n <= NF; n++) if ($n == "drain_per_s") rate[NR] = $(n + 1); size[NR] = $(NF - 1) }
    END { printf "last ÷ round %d: drain %.2f, size %.2f\n", early, rate[NR] / rate[early], size[NR] / size[early] }
' "$folder/rounds"
