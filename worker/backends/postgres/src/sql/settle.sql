-- $16: linked jobs too, which the caller holds (migrations/0002.sql).
-- `state + 0`: found by its id, never by walking all that runs, whatever the statistics say.
UPDATE job SET
    state = CASE WHEN cancel AND s.yields THEN 6 ELSE s.state END,
    at = CASE WHEN cancel AND s.yields THEN 0 ELSE s.at END,
    run_at = CASE WHEN s.again AND NOT cancel THEN s.at ELSE run_at END,
    attempt = CASE WHEN s.refund AND NOT cancel THEN greatest(attempt - 1, 0) ELSE attempt END,
    finished_at = CASE WHEN s.state >= 5 OR cancel AND s.yields THEN $1::bigint END,
    lease_until = NULL,
    class = s.class,
    reason = CASE WHEN cancel AND s.yields THEN job.reason ELSE s.reason END,
    parked_under = CASE WHEN NOT cancel THEN s.parked_under END,
    errors = CASE WHEN s.error IS NULL THEN errors
                  WHEN jsonb_array_length(errors) >= $2 THEN (errors - 0) || s.error::jsonb
                  ELSE coalesce(errors, '[]') || s.error::jsonb END,
    result = s.result,
    published = published * 0,
    untold = CASE WHEN $15 AND (s.state >= 5 OR cancel AND s.yields) THEN true END
FROM unnest($3::uuid[], $4::bigint[], $5::smallint[], $6::bigint[], $7::boolean[], $8::boolean[],
            $9::boolean[], $10::smallint[], $11::text[], $12::text[], $13::text[], $14::bytea[])
     AS s (id, fence, state, at, yields, again, refund, class, reason, parked_under, error, result)
WHERE job.id = s.id AND job.state + 0 = 2 AND job.fence = s.fence
      AND ($16 OR job.order_key IS NULL AND job.parent IS NULL AND job.children IS NULL)
RETURNING job.id, job.fence
