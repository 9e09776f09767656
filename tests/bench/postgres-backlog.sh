#!/usr/bin/env bash
# What a claim costs as records pile up: fills a schema by SQL, measures claims of 256 jobs, in turns.
#   tests/bench/postgres-backlog.sh URL bench-postgres [small] [large]     (10000 and 5000000 records)
#
# Half of the records are finished, half wait. Prints the server's CPU time and the median wall time of
# a claim for both sizes, and their ratio. Runs the statement of the backend, as the backend runs it, in
# the schema flotilla_bench, which it empties before and after. The server must be on this machine.
set -euo pipefail
url=$1 ours=$2 small=${3:-10000} large=${4:-5000000}
claim=$(cat "$(dirname "$0")/../../worker/backends/postgres/src/sql/claim.sql")
psql=$(command -v psql || printf '%s\n' /usr/lib/postgresql/*/bin/psql | tail -n1)
sql() { "$psql" -qAtX -v ON_ERROR_STOP=1 "$url" "$@"; }
claims=14 # with the three before them fewer than wait in the small table

fill() {
    sql -c "SET search_path = flotilla_bench" -c "TRUNCATE job, fair" -c "
        INSERT INTO job (id, state, lane, priority, tag, at, enqueued_at, run_at, finished_at, kind, tenant,
                         max_attempts, version, payload)
        SELECT (lpad(to_hex(n), 12, '0') || '70008000000000000000')::uuid, -- in the order of time, as job ids are
               CASE WHEN n <= $1 / 2 THEN 5 ELSE 1 END, 'default', 5, n,
               CASE WHEN n <= $1 / 2 THEN 4000000000000000 + n ELSE n END, n, n,
               CASE WHEN n <= $1 / 2 THEN n END, 'bench.noop', 'default', 3, 1,
               convert_to(repeat('x', 190), 'UTF8')
        FROM generate_series(1, $1) AS n" -c "VACUUM ANALYZE job" -c "CHECKPOINT"
}

# Milliseconds of CPU and of wall time (median) for one claim.
measure() {
    {
        echo "SET search_path = flotilla_bench, pg_temp; SET jit = off; SET plan_cache_mode = force_generic_plan;
              SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
              SET enable_bitmapscan = off;"
        echo "SELECT pg_backend_pid() AS pid \\gset"
        echo "\\setenv PID :pid"
        echo "PREPARE claim (text[], smallint[], bigint[], text[], bigint, bigint, text) AS $claim;"
        local run="EXECUTE claim ('{default}', '{5}', '{256}', '{bench.noop}', 3000000000000000, 3000000015000000, 'w') \\g /dev/null"
        for _ in 1 2 3; do echo "$run"; done # the first ones read the index into memory
        local cpu="\\! awk '{print \"cpu\", \$14 + \$15}' /proc/\$PID/stat"
        echo "$cpu"
        echo '\timing on'
        for ((i = 0; i < claims; i++)); do echo "$run"; done
        echo '\timing off'
        echo "$cpu"
    } | sql | awk -v claims=$claims '
        $1 == "cpu" { cpu[++c] = $2 }
        $1 == "Time:" { wall[++w] = $2 }
        END {
            for (i = 1; i <= w; i++) for (j = i + 1; j <= w; j++) if (wall[j] < wall[i]) { t = wall[i]; wall[i] = wall[j]; wall[j] = t }
            printf "%.2f %.2f\n", (cpu[2] - cpu[1]) * 10 / claims, wall[int((w + 1) / 2)]
        }'
}

DATABASE_URL=$url "$ours" enqueue 0 >/dev/null # makes the tables
for size in "$small" "$large"; do
    fill "$size"
    for turn in 1 2 3; do
        [[ $size == "$small" && $turn != 1 ]] && fill "$size" # its waiting half is used up
        read -r cpu wall < <(measure)
        echo "$size records, turn $turn: $cpu ms of CPU and $wall ms for a claim of 256"
    done
done
sql -c "SELECT 'job with its indexes: ' || pg_size_pretty(pg_total_relation_size('flotilla_bench.job'))"
sql -c "TRUNCATE flotilla_bench.job, flotilla_bench.fair"
