-- Where nobody said how long to keep a job (`at` is 0), the policy says so now.
WITH ended AS MATERIALIZED (
    SELECT id, at = 0 AND coalesce(finished_at + $3 > $1, false) AS stays
    FROM job WHERE state >= 5 AND at <= $1
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), kept AS (
    UPDATE job SET at = finished_at + $3 FROM ended WHERE job.id = ended.id AND stays
), gone AS (
    DELETE FROM job USING ended WHERE job.id = ended.id AND NOT stays
    RETURNING 1
)
SELECT count(*) FROM gone
