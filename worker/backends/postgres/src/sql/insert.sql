INSERT INTO job (id, state, lane, priority, tag, at, kind, tenant, max_attempts, version, run_at,
                 deadline, payload, traceparent, tracestate, extra, enqueued_at, published)
SELECT n.*, $1, CASE WHEN n.state = 1 THEN $18::bigint ELSE $18 * 0 END
FROM unnest($2::uuid[], $3::smallint[], $4::text[], $5::smallint[], $6::bigint[], $7::bigint[],
            $8::text[], $9::text[], $10::integer[], $11::integer[], $12::bigint[], $13::bigint[],
            $14::bytea[], $15::text[], $16::text[], $17::text[])
     AS n (id, state, lane, priority, tag, at, kind, tenant, max_attempts, version, run_at, deadline,
           payload, traceparent, tracestate, extra)
ON CONFLICT (id) DO NOTHING
RETURNING id
