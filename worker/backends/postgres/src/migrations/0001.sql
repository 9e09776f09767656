-- Flotilla's jobs in one PostgreSQL schema, version 1. The schema itself and `schema_version` are
-- made by migrate.rs; {schema} stands for its quoted name.
-- Instants are microseconds since 1970-01-01T00:00:00Z. States and classes are numbered as in code.rs:
-- 0 scheduled, 1 available, 2 running, 3 retryable, 4 parked, 5 completed, 6 cancelled, 7 dead.
-- Free text is stored with U+0000 escaped as code.rs says.

CREATE SEQUENCE job_seq;

-- One row per job, also the queue entry. Claim and settle each write one new version of it; a
-- heartbeat touches no indexed column, so that its version stays on the page (HOT).
CREATE TABLE job (
    id               uuid     NOT NULL,
    seq              bigint   NOT NULL DEFAULT nextval('job_seq'), -- grows with each enqueue
    tag              bigint   NOT NULL DEFAULT 0, -- place among its band (fair.rs of the core)
    at               bigint   NOT NULL,           -- scheduled, retryable: due; available, running: since when it
                                                  -- could be claimed; parked: since; finished: kept until,
                                                  -- 0 where nobody said until when
    lease_until      bigint,                      -- end of the lease while running
    fence            bigint   NOT NULL DEFAULT 0, -- number of the latest lease
    enqueued_at      bigint   NOT NULL,
    run_at           bigint   NOT NULL,
    started_at       bigint,
    finished_at      bigint,
    deadline         bigint,
    unique_until     bigint,                      -- null: the key holds until the job is finished;
                                                  -- else see key_window
    progress         float8,
    attempt          integer  NOT NULL DEFAULT 0,
    max_attempts     integer  NOT NULL,
    crashes          integer  NOT NULL DEFAULT 0,
    version          integer  NOT NULL,           -- of the payload
    state            smallint NOT NULL,
    priority         smallint NOT NULL,
    class            smallint,                    -- why it is dead
    cancel           boolean  NOT NULL DEFAULT false, -- someone asked it to stop
    lane             text     NOT NULL,
    kind             text     NOT NULL,
    tenant           text     NOT NULL,
    worker           text,                        -- who runs it, or ran it last
    reason           text,
    parked_under     text,
    unique_key       text,
    progress_message text,
    traceparent      text,
    tracestate       text,
    extra            text,                        -- JSON object, null when empty
    errors           jsonb,                       -- the latest failed attempts, oldest first
    payload          bytea    NOT NULL,
    result           bytea                        -- null for the result `null`
) WITH (
    fillfactor = 80,
    toast_tuple_target = 1024,                    -- large payloads are not copied by each move
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_limit = 2000,
    autovacuum_analyze_scale_factor = 0.1
);

-- Unique by itself: `ON CONFLICT (id)` of the enqueue.
CREATE UNIQUE INDEX job_id ON job (id);

-- Claims walk this in order.
CREATE INDEX job_ready ON job (lane, priority DESC, tag, seq) WHERE state = 1;

-- What waits for its moment.
CREATE INDEX job_due ON job (lane, at, seq) WHERE state IN (0, 3);

-- Who holds what; as many entries as the fleet has busy slots. Not by the end of the lease, so
-- that a heartbeat changes no index.
CREATE INDEX job_running ON job (lane) WHERE state = 2;

CREATE INDEX job_parked ON job (parked_under, seq) WHERE state = 4;

-- Finished jobs by the end of their retention, and for the counts.
CREATE INDEX job_kept ON job (at, lane, state) WHERE state >= 5;

CREATE INDEX job_dead ON job (id) WHERE state = 7;

CREATE INDEX job_deadline ON job (deadline) WHERE deadline IS NOT NULL AND state IN (0, 1, 3, 4);

-- Holders of unique keys; they leave by themselves when the job is finished.
CREATE UNIQUE INDEX job_unique ON job (kind, tenant, unique_key)
    WHERE unique_key IS NOT NULL AND unique_until IS NULL AND state < 5;

-- Holders of unique keys for a while, whatever becomes of the job and its record.
CREATE TABLE key_window (
    kind   text   NOT NULL,
    tenant text   NOT NULL,
    key    text   NOT NULL,
    until  bigint NOT NULL,
    id     uuid   NOT NULL,
    PRIMARY KEY (kind, tenant, key)
);
CREATE INDEX key_window_until ON key_window (until);

-- Fair order. tenant '': the band's time (highest tag claimed); priority -1: places the lane gave.
CREATE TABLE fair (
    lane     text     NOT NULL,
    priority smallint NOT NULL,
    tenant   text     NOT NULL,
    value    bigint   NOT NULL,
    step     bigint   NOT NULL,                   -- how many tags were drawn last; `draw` needs it
    PRIMARY KEY (lane, priority, tenant)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500);

CREATE TABLE pause (
    lane   text PRIMARY KEY,
    by     text   NOT NULL,
    reason text   NOT NULL,
    since  bigint NOT NULL
);

CREATE TABLE worker (
    id          text PRIMARY KEY,
    version     text    NOT NULL,
    lanes       text    NOT NULL,                 -- JSON array
    concurrency bigint  NOT NULL,
    running     bigint  NOT NULL,
    started_at  bigint  NOT NULL,
    seen_at     bigint  NOT NULL,
    draining    boolean NOT NULL,
    asked       boolean NOT NULL DEFAULT false    -- someone asked it to drain
) WITH (fillfactor = 50);

CREATE TABLE cron (
    name     text PRIMARY KEY,
    fired_at bigint NOT NULL
);

-- What `enqueue` fills in for a kind; written by the fleet when it starts.
CREATE TABLE kind (
    name         text PRIMARY KEY,
    lane         text     NOT NULL,
    priority     smallint NOT NULL,
    max_attempts integer  NOT NULL,
    version      integer  NOT NULL,               -- of the payload
    max_payload  bigint   NOT NULL                -- bytes
);

-- Draws `counts` tags for each (lane, priority, tenant) and answers the last of them.
CREATE FUNCTION draw(lanes text[], priorities smallint[], tenants text[], counts bigint[])
RETURNS TABLE (lane text, priority smallint, tenant text, last bigint)
LANGUAGE sql SET search_path = {schema}, pg_temp AS $$
    INSERT INTO fair AS f (lane, priority, tenant, value, step)
    SELECT g.lane, g.priority, g.tenant, coalesce(band.value, 0) + g.n, g.n
    FROM unnest(lanes, priorities, tenants, counts) AS g (lane, priority, tenant, n)
    LEFT JOIN fair band ON band.lane = g.lane AND band.priority = g.priority AND band.tenant = ''
    ORDER BY 1, 2, 3
    ON CONFLICT (lane, priority, tenant) DO UPDATE
        SET value = greatest(f.value + excluded.step, excluded.value), step = excluded.step
    RETURNING f.lane, f.priority, f.tenant, f.value
$$;

-- New tags for existing jobs, in the order given.
CREATE FUNCTION tags_for(ids uuid[])
RETURNS TABLE (id uuid, tag bigint)
LANGUAGE sql SET search_path = {schema}, pg_temp AS $$
    WITH asked AS MATERIALIZED (
        SELECT job.id, job.lane, job.priority, job.tenant,
               row_number() OVER (PARTITION BY job.lane, job.priority, job.tenant ORDER BY o.ord) AS n,
               count(*) OVER (PARTITION BY job.lane, job.priority, job.tenant) AS total
        FROM unnest(ids) WITH ORDINALITY AS o (id, ord) JOIN job ON job.id = o.id
    ), groups AS MATERIALIZED (
        SELECT DISTINCT lane, priority, tenant, total FROM asked ORDER BY 1, 2, 3
    ), drawn AS MATERIALIZED (
        SELECT d.* FROM draw(ARRAY(SELECT lane FROM groups), ARRAY(SELECT priority FROM groups),
                             ARRAY(SELECT tenant FROM groups), ARRAY(SELECT total FROM groups)) AS d
    )
    SELECT asked.id, drawn.last - asked.total + asked.n
    FROM asked JOIN drawn USING (lane, priority, tenant)
$$;

-- Due jobs of these lanes become available, at most `most`, the longest due first. Jobs that
-- someone else is at are left to him.
CREATE FUNCTION promote(lanes text[], most bigint, now bigint) RETURNS bigint
LANGUAGE sql SET search_path = {schema}, pg_temp AS $$
    WITH due AS MATERIALIZED (
        SELECT d.id FROM unnest(lanes) AS l (lane) CROSS JOIN LATERAL (
            SELECT job.id, job.at, job.seq FROM job
            WHERE job.state IN (0, 3) AND job.lane = l.lane AND job.at <= now
            ORDER BY job.at, job.seq LIMIT most FOR UPDATE SKIP LOCKED) AS d
        LIMIT most
    ), tags AS MATERIALIZED (
        SELECT t.* FROM tags_for(ARRAY(SELECT id FROM due)) AS t
    ), moved AS (
        UPDATE job SET state = 1, tag = tags.tag, at = run_at, reason = NULL, parked_under = NULL
        FROM tags WHERE job.id = tags.id
        RETURNING 1
    )
    SELECT count(*) FROM moved
$$;

-- Who holds a unique key now.
CREATE FUNCTION key_holder(of_kind text, of_tenant text, of_key text, now bigint) RETURNS uuid
LANGUAGE sql STABLE SET search_path = {schema}, pg_temp AS $$
    SELECT id FROM job
    WHERE kind = of_kind AND tenant = of_tenant AND unique_key = of_key
      AND unique_key IS NOT NULL AND unique_until IS NULL AND state < 5
    UNION ALL
    SELECT id FROM key_window
    WHERE kind = of_kind AND tenant = of_tenant AND key = of_key AND until > now
    LIMIT 1
$$;

-- Makes jobs one by one: for batches with unique keys, or with an id that comes twice. Answers for
-- each place the id of the job that stands for it, null where it was made. Keys are taken in
-- their order, so that two batches never wait for each other.
CREATE FUNCTION enqueue_keyed(
    now bigint, ids uuid[], states smallint[], lanes text[], priorities smallint[], tags bigint[],
    ats bigint[], kinds text[], tenants text[], max_attempts_of integer[], versions integer[],
    run_ats bigint[], deadlines bigint[], payloads bytea[], traceparents text[],
    tracestates text[], extras text[], keys text[], untils bigint[])
RETURNS TABLE (place bigint, stands uuid)
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
#variable_conflict use_column
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT n.*, nextval('job_seq') AS seq
        FROM unnest(ids, states, lanes, priorities, tags, ats, kinds, tenants, max_attempts_of,
                    versions, run_ats, deadlines, payloads, traceparents, tracestates, extras,
                    keys, untils) WITH ORDINALITY
             AS n (id, state, lane, priority, tag, at, kind, tenant, max_attempts, version, run_at,
                   deadline, payload, traceparent, tracestate, extra, key, until, ord)
        ORDER BY n.kind, n.tenant, n.key NULLS FIRST, n.ord
    LOOP
        place := r.ord;
        LOOP
            stands := NULL;
            IF EXISTS (SELECT FROM job WHERE job.id = r.id) THEN
                stands := r.id;
                EXIT;
            END IF;
            IF r.key IS NOT NULL THEN
                stands := key_holder(r.kind, r.tenant, r.key, now);
                EXIT WHEN stands IS NOT NULL;
            END IF;
            IF r.until IS NOT NULL THEN
                INSERT INTO key_window AS w (kind, tenant, key, until, id)
                VALUES (r.kind, r.tenant, r.key, r.until, r.id)
                ON CONFLICT (kind, tenant, key) DO UPDATE
                    SET until = excluded.until, id = excluded.id WHERE w.until <= now;
                CONTINUE WHEN NOT FOUND; -- someone took it meanwhile
            END IF;
            INSERT INTO job (id, seq, state, lane, priority, tag, at, kind, tenant, max_attempts,
                             version, enqueued_at, run_at, deadline, payload, traceparent,
                             tracestate, extra, unique_key, unique_until)
            VALUES (r.id, r.seq, r.state, r.lane, r.priority, r.tag, r.at, r.kind, r.tenant,
                    r.max_attempts, r.version, now, r.run_at, r.deadline, r.payload, r.traceparent,
                    r.tracestate, r.extra, r.key, r.until)
            ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND; -- else someone was faster: look again
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$$;

-- For other programs, inside their own transaction: the job exists if and only if that
-- transaction commits. Answers the job's id; with a unique key, the id of the job that already
-- stands for it. Grant USAGE on the schema and EXECUTE on this function; nothing else is needed.
--
-- The job is stored as due, and the next claim gives it its place among the others: so this
-- transaction, however long, holds no row that other enqueues wait for.
CREATE FUNCTION enqueue(
    kind text, payload jsonb, lane text DEFAULT NULL, run_at timestamptz DEFAULT NULL,
    priority integer DEFAULT NULL, tenant text DEFAULT NULL, unique_key text DEFAULT NULL)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
#variable_conflict use_column
DECLARE
    policy record;
    now bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    due bigint := coalesce((extract(epoch FROM enqueue.run_at) * 1000000)::bigint, 0);
    body bytea := convert_to(enqueue.payload::text, 'UTF8');
    to_lane text;
    whose text := coalesce(enqueue.tenant, 'default');
    level integer;
    id uuid;
    holder uuid;
BEGIN
    SELECT k.* INTO policy FROM kind k WHERE k.name = enqueue.kind;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown job kind "%"', enqueue.kind
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'kinds are registered when a worker of the fleet starts: see the table {schema}.kind';
    END IF;
    to_lane := coalesce(enqueue.lane, policy.lane);
    level := coalesce(enqueue.priority, policy.priority);
    IF to_lane !~ '^[a-z0-9][a-z0-9._-]{0,63}$' OR whose !~ '^[a-z0-9][a-z0-9._-]{0,63}$' THEN
        RAISE EXCEPTION 'lane "%" or tenant "%" is not a name', to_lane, whose
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = '1 to 64 lower-case letters, digits, ''.'', ''_'' or ''-'', beginning with a letter or digit';
    END IF;
    IF level NOT BETWEEN 0 AND 9 THEN
        RAISE EXCEPTION 'priority % is not 0 (last) to 9 (first)', level
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF body IS NULL OR octet_length(body) > policy.max_payload THEN
        RAISE EXCEPTION 'the payload has % bytes; at most % are allowed',
            coalesce(octet_length(body)::text, 'no'), policy.max_payload
            USING ERRCODE = 'invalid_parameter_value', HINT = 'put large data in a blob';
    END IF;
    IF octet_length(enqueue.unique_key) > 512 THEN
        RAISE EXCEPTION 'the unique key has % bytes; at most 512 are allowed',
            octet_length(enqueue.unique_key) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Version 7 of RFC 9562: 48 bits of milliseconds, then the version, then chance.
    id := encode(overlay(overlay(uuid_send(gen_random_uuid())
              PLACING substring(int8send(now / 1000) FROM 3) FROM 1 FOR 6)
              PLACING set_byte('\x00'::bytea, 0, 112 | (random() * 15)::integer) FROM 7 FOR 1), 'hex')::uuid;
    LOOP
        IF enqueue.unique_key IS NOT NULL THEN
            holder := key_holder(enqueue.kind, whose, enqueue.unique_key, now);
            IF holder IS NOT NULL THEN
                RETURN holder;
            END IF;
        END IF;
        INSERT INTO job (id, state, lane, priority, at, kind, tenant, max_attempts, version,
                         enqueued_at, run_at, payload, unique_key)
        VALUES (id, 0, to_lane, level, due, enqueue.kind, whose, policy.max_attempts, policy.version,
                now, CASE WHEN due = 0 THEN now ELSE due END, body, enqueue.unique_key)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    PERFORM pg_notify({channel}, 'w');
    RETURN id;
END
$$;
