WITH unhurried AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), pick AS MATERIALIZED (
    SELECT job.ctid AS at_row FROM job, unhurried
    WHERE id = ANY ($1::uuid[]) AND state + 0 = 1 AND (deadline IS NULL OR deadline > $2)
      AND NOT EXISTS (SELECT FROM pause WHERE pause.lane = job.lane)
    ORDER BY id FOR UPDATE OF job SKIP LOCKED
), took AS (
    UPDATE job SET state = 2, attempt = attempt + 1, fence = greatest(fence + 1, $2),
                   lease_until = $3, started_at = $2, worker = $4, reason = NULL, progress = NULL,
                   progress_message = NULL
    FROM pick WHERE job.ctid = pick.at_row
    RETURNING 0::bigint AS ord, job.id, fence, kind, version, lane, tenant, priority, payload, attempt,
              max_attempts, crashes, at, enqueued_at, traceparent, tracestate, job.tag, job.seq,
              parent, parent_name, depth, children, order_key IS NOT NULL AS ordered
), noted AS (
    INSERT INTO fair AS f (lane, priority, tenant, value, step)
    SELECT lane, priority, '', max(tag), 0 FROM took GROUP BY lane, priority ORDER BY 1, 2
    ON CONFLICT (lane, priority, tenant) DO UPDATE SET value = greatest(f.value, excluded.value)
)
SELECT * FROM took
