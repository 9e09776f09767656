-- The caller holds these jobs.
WITH moved AS (
    UPDATE job SET state = 7, class = 6, at = $3, finished_at = $1, reason = NULL, parked_under = NULL,
                   untold = CASE WHEN $4 THEN true END
    WHERE id = ANY ($2::uuid[]) AND deadline IS NOT NULL AND state IN (0, 1, 3, 4) AND deadline <= $1
    RETURNING 1
)
SELECT count(*) FROM moved
