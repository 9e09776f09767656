WITH passed AS MATERIALIZED (
    SELECT id FROM job
    WHERE deadline IS NOT NULL AND state IN (0, 1, 3, 4) AND deadline <= $1
    ORDER BY deadline LIMIT $2 FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE job SET state = 7, class = 6, at = $3, finished_at = $1, reason = NULL, parked_under = NULL
    FROM passed WHERE job.id = passed.id
    RETURNING 1
)
SELECT count(*) FROM moved
