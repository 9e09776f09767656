-- What a parent that is unfinished may yet read stays, and so does an end nobody was told of.
-- Where nobody said how long to keep a job (`at` is 0), the policy says so now.
WITH ended AS MATERIALIZED (
    SELECT id, at = 0 AND coalesce(finished_at + $3 > $1, false) AS stays
    FROM job WHERE state >= 5 AND at <= $1 AND untold IS NOT TRUE
          AND (parent IS NULL
               OR NOT EXISTS (SELECT FROM job AS p WHERE p.id = job.parent AND p.state < 5))
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), kept AS (
    UPDATE job SET at = finished_at + $3 FROM ended WHERE job.id = ended.id AND stays
), gone AS (
    DELETE FROM job USING ended WHERE job.id = ended.id AND NOT stays
    RETURNING job.id, job.children
), flows AS (
    DELETE FROM flow USING gone WHERE flow.parent = gone.id AND gone.children IS NOT NULL
)
SELECT count(*) FROM gone
