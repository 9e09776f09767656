WITH asked AS MATERIALIZED (
    SELECT id, state FROM job WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
), moved AS (
    UPDATE job SET cancel = true,
                   reason = $2,
                   state = CASE WHEN job.state = 2 THEN 2 ELSE 6 END,
                   at = CASE WHEN job.state = 2 THEN job.at ELSE 0 END,
                   finished_at = CASE WHEN job.state <> 2 THEN $3::bigint END,
                   parked_under = NULL,
                   untold = CASE WHEN job.state <> 2 AND $4 THEN true END
    FROM asked WHERE job.id = asked.id AND asked.state < 5
)
SELECT id, state FROM asked
