-- The caller holds these jobs. Mirrors `transition` for `Event::LeaseExpired`; a job nobody wants any more is cancelled.
WITH gone AS MATERIALIZED (
    SELECT id, CASE WHEN cancel THEN 6
                    WHEN crashes + 1 >= $3 THEN 7
                    WHEN attempt < max_attempts THEN 1
                    ELSE 7 END AS next,
           CASE WHEN crashes + 1 >= $3 THEN 5 ELSE 0 END AS class
    FROM job WHERE id = ANY ($2::uuid[]) AND state + 0 = 2 AND lease_until <= $1
), moved AS (
    UPDATE job SET
        crashes = crashes + 1,
        state = gone.next,
        at = CASE gone.next WHEN 1 THEN $1 WHEN 6 THEN 0 ELSE $4 END,
        finished_at = CASE WHEN gone.next >= 5 THEN $1 END,
        lease_until = NULL,
        published = published * 0,
        untold = CASE WHEN gone.next >= 5 AND $6 THEN true END,
        class = CASE gone.next WHEN 7 THEN gone.class END,
        reason = CASE gone.next WHEN 6 THEN reason END,
        errors = CASE WHEN jsonb_array_length(errors) >= $5 THEN errors - 0
                      ELSE coalesce(errors, '[]') END
                 || jsonb_build_object('attempt', attempt, 'at', $1, 'worker', coalesce(worker, 'unknown'),
                                       'error', 'lease ran out: the worker is gone')
    FROM gone WHERE job.id = gone.id
    RETURNING gone.next
)
SELECT count(*) FILTER (WHERE next = 1), count(*) FILTER (WHERE next = 7), count(*) FROM moved
