WITH RECURSIVE told AS (
    (SELECT lane FROM job WHERE state = 1 AND published IS NOT NULL ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT job.lane FROM job WHERE state = 1 AND published IS NOT NULL AND job.lane > told.lane
            ORDER BY job.lane LIMIT 1)
    FROM told WHERE told.lane IS NOT NULL
), asked AS MATERIALIZED (
    SELECT DISTINCT lane FROM (
        SELECT told.lane FROM told WHERE cardinality($1::text[]) = 0
        UNION ALL SELECT * FROM unnest($1::text[])) AS w (lane)
    WHERE lane IS NOT NULL AND NOT EXISTS (SELECT FROM pause WHERE pause.lane = w.lane)
), found AS MATERIALIZED (
    SELECT p.id FROM asked CROSS JOIN LATERAL (
        SELECT id FROM job
        WHERE state = 1 AND published IS NOT NULL AND job.lane = asked.lane AND published < greatest($2::bigint, 1)
          AND (deadline IS NULL OR deadline > $4)
        ORDER BY published, seq LIMIT $3 FOR UPDATE SKIP LOCKED) AS p
    LIMIT $3
)
UPDATE job SET published = $4 FROM found WHERE job.id = found.id
RETURNING job.id, kind, version, lane, tenant, priority, payload, run_at, deadline, unique_key,
          unique_until, enqueued_at, order_key, parent, parent_name, depth, max_attempts, traceparent,
          tracestate, extra, tag, seq
