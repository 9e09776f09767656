INSERT INTO job (id, state, at, finished_at, enqueued_at, class, errors, untold, lane, priority, kind,
                 tenant, max_attempts, version, run_at, payload, traceparent, tracestate, extra,
                 order_key, parent, parent_name, depth)
SELECT b.id, 7, b.keep, $1, $1, b.class, jsonb_build_array(b.error::jsonb), CASE WHEN $2 THEN true END,
       b.lane, b.priority, b.kind, b.tenant, b.max_attempts, b.version, b.run_at, b.payload,
       b.traceparent, b.tracestate, b.extra, b.order_key, b.parent, b.parent_name, b.depth
FROM unnest($3::uuid[], $4::bigint[], $5::smallint[], $6::text[], $7::text[], $8::smallint[],
            $9::text[], $10::text[], $11::integer[], $12::integer[], $13::bigint[], $14::bytea[],
            $15::text[], $16::text[], $17::text[], $18::text[], $19::uuid[], $20::text[],
            $21::smallint[])
     AS b (id, keep, class, error, lane, priority, kind, tenant, max_attempts, version, run_at, payload,
           traceparent, tracestate, extra, order_key, parent, parent_name, depth)
ON CONFLICT (id) DO NOTHING
