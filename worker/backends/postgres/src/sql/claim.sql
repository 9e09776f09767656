WITH unhurried AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), pick AS MATERIALIZED (
    SELECT w.ord, p.at_row
    FROM unhurried,
         (SELECT lane, priority, n, string_to_array(kinds, ',') AS kinds, ord
          FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::text[]) WITH ORDINALITY
               AS w (lane, priority, n, kinds, ord)
          OFFSET 0) AS w,
         LATERAL (SELECT ctid AS at_row, id, tag, seq FROM job
                  WHERE state = 1 AND job.lane = w.lane AND job.priority = w.priority
                    AND kind = ANY (w.kinds)
                    AND (deadline IS NULL OR deadline > $5)
                  ORDER BY tag, seq LIMIT w.n FOR UPDATE SKIP LOCKED) AS p
), took AS (
    UPDATE job SET state = 2, attempt = attempt + 1, fence = greatest(fence + 1, $5),
                   lease_until = $6, started_at = $5, worker = $7, reason = NULL, progress = NULL,
                   progress_message = NULL
    FROM pick WHERE job.ctid = pick.at_row
    RETURNING pick.ord, job.id, fence, kind, version, lane, tenant, priority, payload, attempt,
              max_attempts, crashes, at, enqueued_at, traceparent, tracestate, job.tag, job.seq,
              parent, parent_name, depth, children, order_key IS NOT NULL AS ordered
), given AS (
    SELECT lane, priority, '' AS tenant, max(tag) AS value FROM took GROUP BY lane, priority
    UNION ALL
    SELECT lane, -1, '', count(*) FROM took GROUP BY lane
), noted AS (
    INSERT INTO fair AS f (lane, priority, tenant, value, step)
    SELECT lane, priority, tenant, value, 0 FROM given ORDER BY 1, 2
    ON CONFLICT (lane, priority, tenant) DO UPDATE
        SET value = CASE f.priority WHEN -1 THEN f.value + excluded.value
                                    ELSE greatest(f.value, excluded.value) END
)
SELECT * FROM took
