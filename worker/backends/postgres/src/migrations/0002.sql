-- Version 2: ordering keys, flows, the outbox, shared cells, and jobs that a broker carries.
-- Only adds: workers of version 1 go on beside it. They know neither ordering keys nor flows, so
-- producers use those once the last worker is of version 2.
--
-- A job that has an ordering key, a parent or children is *linked*. Locks of linked jobs are taken
-- in this order, each sort by itself in the order of its names: ordering keys (advisory, `hold_keys`),
-- the caller's own jobs, the heads of keys that are held, flows, `fair`. Whatever else is touched is
-- passed over when someone has it, and marked to be done later. So nobody waits in a circle.

ALTER TABLE job
    ADD COLUMN order_key   text,
    ADD COLUMN parent      uuid,
    ADD COLUMN parent_name text,
    ADD COLUMN depth       smallint,              -- how far down its flow
    ADD COLUMN children    integer,               -- it has started so many; null: none
    ADD COLUMN awaited     boolean,               -- its parent has yet to count it
    ADD COLUMN loose       boolean,               -- ended, and some of its children have not been told
    ADD COLUMN untold      boolean,               -- its end is still to be told (outbox)
    ADD COLUMN published   bigint;                -- a broker carries it and was told of it then;
                                                  -- 0: is to be told; null: no broker carries it

-- Unfinished jobs of a key. A job parked under `order:<key>` stands in line; one that is scheduled
-- under it has yet to take its place (see `enqueue`). All others keep the key busy.
CREATE INDEX job_order ON job (order_key) WHERE order_key IS NOT NULL AND state < 5;
CREATE INDEX job_busy ON job (order_key)
    WHERE order_key IS NOT NULL AND state < 5 AND parked_under IS DISTINCT FROM 'order:' || order_key;
CREATE INDEX job_child ON job (parent) WHERE parent IS NOT NULL;
CREATE INDEX job_loose ON job (id) WHERE loose;
CREATE INDEX job_untold ON job (finished_at, id) WHERE untold;
CREATE INDEX job_published ON job (lane, published, seq) WHERE state = 1 AND published IS NOT NULL;

-- How the children of a job stand; `job.children` repeats how many there are.
CREATE TABLE flow (
    parent    uuid    PRIMARY KEY,
    children  integer NOT NULL,
    succeeded integer NOT NULL DEFAULT 0,
    failed    integer NOT NULL DEFAULT 0,
    successes integer NOT NULL,                   -- goes on at so many of them,
    failures  integer NOT NULL,                   -- or at so many of these
    wake      boolean NOT NULL DEFAULT false      -- may go on, but someone had it
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500);
CREATE INDEX flow_wake ON flow (parent) WHERE wake;

-- Small shared state, changed by compare-and-swap. Keys as bytes: sorted as such.
CREATE SEQUENCE cell_version;
CREATE TABLE cell (
    key        bytea  PRIMARY KEY,
    version    bigint NOT NULL,
    value      bytea  NOT NULL,
    expires_at bigint
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500);
CREATE INDEX cell_expires ON cell (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE kind ADD COLUMN brokered boolean NOT NULL DEFAULT false;

-- The changes in order, each alone; answers which were made. Different keys do not touch each other,
-- so they are taken in their order and two calls never wait for each other.
CREATE FUNCTION write_cells(now bigint, keys bytea[], expected bigint[], contents bytea[], ends bigint[])
RETURNS TABLE (place bigint, done boolean)
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
#variable_conflict use_column
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT * FROM unnest(keys, expected, contents, ends) WITH ORDINALITY AS c (key, expect, content, until, ord)
        ORDER BY c.key, c.ord
    LOOP
        IF r.expect > 0 AND r.content IS NOT NULL THEN
            UPDATE cell SET version = nextval('cell_version'), value = r.content, expires_at = r.until
            WHERE cell.key = r.key AND version = r.expect AND (expires_at IS NULL OR expires_at > now);
            done := FOUND;
        ELSIF r.expect > 0 THEN
            DELETE FROM cell
            WHERE cell.key = r.key AND version = r.expect AND (expires_at IS NULL OR expires_at > now);
            done := FOUND;
        ELSIF r.content IS NOT NULL THEN
            INSERT INTO cell AS c (key, version, value, expires_at)
            VALUES (r.key, nextval('cell_version'), r.content, r.until)
            ON CONFLICT (key) DO UPDATE
                SET version = excluded.version, value = excluded.value, expires_at = excluded.expires_at
                WHERE c.expires_at <= now;
            done := FOUND;
        ELSE
            done := NOT EXISTS (
                SELECT FROM cell WHERE cell.key = r.key AND (expires_at IS NULL OR expires_at > now));
        END IF;
        place := r.ord;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Ordering keys share this many locks, so that no batch uses up the server's table of them.
CREATE FUNCTION key_lock(of_key text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtext(of_key) & 1023 $$;

-- Waits for these ordering keys and holds them until the transaction ends.
CREATE FUNCTION hold_keys(keys text[]) RETURNS void
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    lock integer;
BEGIN
    FOR lock IN SELECT DISTINCT key_lock(k.key) FROM unnest(keys) AS k (key) WHERE k.key IS NOT NULL ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(hashtext('flotilla order ' || {channel}), lock);
    END LOOP;
END
$$;

-- Holds the ordering keys of these jobs, then the jobs themselves.
CREATE FUNCTION hold_jobs(ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
BEGIN
    PERFORM hold_keys(ARRAY(SELECT order_key FROM job WHERE id = ANY (ids) AND order_key IS NOT NULL));
    PERFORM FROM (SELECT FROM job WHERE id = ANY (ids) ORDER BY id FOR UPDATE) AS held;
END
$$;

-- The jobs whose turn has come: of each key that nothing keeps busy, the first in line. The
-- keys are held by the caller, in a statement before.
CREATE FUNCTION next_in_line(keys text[]) RETURNS SETOF uuid
LANGUAGE sql SET search_path = {schema}, pg_temp AS $$
    SELECT head.id FROM (SELECT DISTINCT key FROM unnest(keys) AS k (key)) AS k
    CROSS JOIN LATERAL (
        SELECT id FROM job WHERE state = 4 AND parked_under = 'order:' || k.key AND order_key = k.key
        ORDER BY seq LIMIT 1 FOR UPDATE) AS head
    WHERE NOT EXISTS (
        SELECT FROM job WHERE order_key = k.key AND order_key IS NOT NULL AND state < 5
                              AND parked_under IS DISTINCT FROM 'order:' || order_key)
$$;

-- Parked jobs go on: available, or scheduled where their own moment has not come.
CREATE FUNCTION go_on(ids uuid[], now bigint) RETURNS bigint
LANGUAGE sql SET search_path = {schema}, pg_temp AS $$
    WITH tags AS MATERIALIZED (
        SELECT t.* FROM tags_for(ARRAY(SELECT id FROM job WHERE id = ANY (ids) AND run_at <= now ORDER BY seq)) AS t
    ), woken AS (
        UPDATE job SET state = 1, tag = tags.tag, at = now, reason = NULL, parked_under = NULL,
                       published = published * 0
        FROM tags WHERE job.id = tags.id
    ), postponed AS (
        UPDATE job SET state = 0, at = run_at, reason = NULL, parked_under = NULL
        WHERE id = ANY (ids) AND run_at > now
    )
    SELECT cardinality(ids)
$$;

-- Cancels what is unfinished below these ended jobs; a running job is told. What someone else has
-- is left for later (`loose`). Answers the jobs it has ended.
CREATE FUNCTION cut_loose(ended uuid[], now bigint, events boolean) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    above uuid[] := ended;
    cut uuid[];
    below uuid[];
    everything uuid[] := '{}';
BEGIN
    WHILE cardinality(above) > 0 LOOP
        WITH child AS MATERIALIZED (
            SELECT id FROM job
            WHERE parent = ANY (above) AND parent IS NOT NULL AND state < 5 AND NOT (state = 2 AND cancel)
              AND (order_key IS NULL
                   OR pg_try_advisory_xact_lock(hashtext('flotilla order ' || {channel}), key_lock(order_key)))
            FOR UPDATE SKIP LOCKED
        ), told AS (
            UPDATE job SET cancel = true, reason = 'its flow has ended',
                           state = CASE WHEN state = 2 THEN 2 ELSE 6 END,
                           at = CASE WHEN state = 2 THEN at ELSE 0 END,
                           finished_at = CASE WHEN state <> 2 THEN now END,
                           parked_under = NULL,
                           untold = CASE WHEN state <> 2 AND events THEN true END
            FROM child WHERE job.id = child.id
            RETURNING job.id, job.state, job.children
        )
        SELECT coalesce(array_agg(id) FILTER (WHERE state = 6), '{}'),
               coalesce(array_agg(id) FILTER (WHERE children IS NOT NULL), '{}')
        INTO cut, below FROM told;
        UPDATE job SET loose = left_over.remain
        FROM (SELECT a.id, EXISTS (SELECT FROM job WHERE parent = a.id AND parent IS NOT NULL AND state < 5
                                                         AND NOT (state = 2 AND cancel)) AS remain
              FROM unnest(above) AS a (id)) AS left_over
        WHERE job.id = left_over.id AND job.loose IS DISTINCT FROM left_over.remain
              AND (left_over.remain OR job.loose);
        everything := everything || cut;
        above := below;
    END LOOP;
    RETURN everything;
END
$$;

-- What follows from the end of linked jobs, and from a parent that began to wait: children are
-- cancelled, ends are counted, parents and the next of each ordering key go on. The keys of the
-- jobs and the jobs themselves are held (`hold_jobs`). Answers how many jobs went on.
CREATE FUNCTION follow_up(ids uuid[], now bigint, events boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    ends uuid[];
    above uuid[];
    flows uuid[];
    ready uuid[] := '{}';
    heads uuid[] := '{}';
    keys text[];
BEGIN
    ends := ARRAY(SELECT id FROM job WHERE id = ANY (ids) AND state >= 5);
    above := ARRAY(SELECT id FROM job WHERE id = ANY (ends) AND children IS NOT NULL);
    IF cardinality(above) > 0 THEN
        ends := ends || cut_loose(above, now, events);
    END IF;

    flows := ARRAY(SELECT parent FROM job WHERE id = ANY (ends) AND awaited
                   UNION SELECT id FROM job WHERE id = ANY (ids) AND state = 4 AND children IS NOT NULL
                   UNION SELECT parent FROM flow WHERE parent = ANY (ids) AND wake);
    IF cardinality(flows) > 0 THEN
        PERFORM FROM (SELECT FROM flow WHERE parent = ANY (flows) ORDER BY parent FOR UPDATE) AS held;
        WITH first_end AS (
            UPDATE job SET awaited = NULL WHERE id = ANY (ends) AND awaited
            RETURNING parent, state
        ), sums AS (
            SELECT parent, count(*) FILTER (WHERE state = 5) AS good, count(*) FILTER (WHERE state > 5) AS bad
            FROM first_end GROUP BY parent
        )
        UPDATE flow SET succeeded = succeeded + sums.good, failed = failed + sums.bad
        FROM sums WHERE flow.parent = sums.parent;
        ready := ARRAY(SELECT job.id FROM flow JOIN job ON job.id = flow.parent
                       WHERE flow.parent = ANY (flows)
                         AND (succeeded >= successes OR failed >= failures OR succeeded + failed >= flow.children)
                         AND job.state = 4 AND job.parked_under = 'flow:' || flow.parent
                       FOR UPDATE OF job SKIP LOCKED);
        UPDATE flow SET wake = NOT wake
        FROM job
        WHERE flow.parent = ANY (flows) AND job.id = flow.parent
          AND wake <> ((succeeded >= successes OR failed >= failures OR succeeded + failed >= flow.children)
                       AND job.state = 4 AND job.parked_under = 'flow:' || flow.parent
                       AND NOT flow.parent = ANY (ready));
    END IF;

    keys := ARRAY(SELECT DISTINCT order_key FROM job WHERE id = ANY (ends) AND order_key IS NOT NULL);
    IF cardinality(keys) > 0 THEN
        heads := ARRAY(SELECT next_in_line(keys));
    END IF;
    IF cardinality(ready || heads) > 0 THEN
        PERFORM go_on(ready || heads, now);
    END IF;
    RETURN cardinality(ready || heads);
END
$$;

-- What an earlier call had to leave, because someone else was at it: children to be told …
CREATE FUNCTION tie_loose(most bigint, now bigint, events boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    ends uuid[] := ARRAY(SELECT id FROM job WHERE loose LIMIT most FOR UPDATE SKIP LOCKED);
    cut uuid[];
BEGIN
    IF cardinality(ends) = 0 THEN
        RETURN 0;
    END IF;
    cut := cut_loose(ends, now, events);
    PERFORM follow_up(cut, now, events);
    RETURN cardinality(cut);
END
$$;

-- … and parents to be woken.
CREATE FUNCTION wake_flows(most bigint, now bigint, events boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    waiting uuid[] := ARRAY(SELECT parent FROM flow WHERE wake LIMIT most);
BEGIN
    IF cardinality(waiting) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM hold_jobs(waiting);
    RETURN follow_up(waiting, now, events);
END
$$;

-- Due jobs of these lanes become available, at most `most`, the longest due first. Jobs that
-- someone else is at are left to him. One that has yet to take its place in the line of its
-- ordering key takes it now.
CREATE OR REPLACE FUNCTION promote(lanes text[], most bigint, now bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    due uuid[];
    late uuid[];
    heads uuid[] := '{}';
BEGIN
    due := ARRAY(
        SELECT d.id FROM unnest(lanes) AS l (lane) CROSS JOIN LATERAL (
            SELECT job.id FROM job
            WHERE job.state IN (0, 3) AND job.lane = l.lane AND job.at <= now
              AND (parked_under IS NULL
                   OR pg_try_advisory_xact_lock(hashtext('flotilla order ' || {channel}), key_lock(order_key)))
            ORDER BY job.at, job.seq LIMIT most FOR UPDATE SKIP LOCKED) AS d
        LIMIT most);
    IF cardinality(due) = 0 THEN
        RETURN 0;
    END IF;
    late := ARRAY(SELECT id FROM job WHERE id = ANY (due) AND parked_under IS NOT NULL);
    IF cardinality(late) > 0 THEN
        UPDATE job SET state = 4, at = now,
                       reason = 'waits for an earlier job of its ordering key'
        WHERE id = ANY (late);
        heads := ARRAY(SELECT next_in_line(ARRAY(SELECT order_key FROM job WHERE id = ANY (late))));
        PERFORM go_on(heads, now);
        due := ARRAY(SELECT d.id FROM unnest(due) WITH ORDINALITY AS d (id, ord) WHERE NOT d.id = ANY (late) ORDER BY ord);
    END IF;
    UPDATE job SET state = 1, tag = tags.tag, at = run_at, reason = NULL, parked_under = NULL,
                   published = published * 0
    FROM (SELECT t.* FROM tags_for(due) AS t) AS tags WHERE job.id = tags.id;
    RETURN cardinality(due) + cardinality(heads);
END
$$;

-- As `enqueue_keyed` of version 1, for jobs with ordering keys and parents too. A job whose
-- ordering key an unfinished one has stands in line behind it. Unique keys are taken in their order,
-- so that two batches do not wait for each other; with ordering keys, in the order given: two
-- that do wait for each other are told so by the server, and the backend tries again.
CREATE FUNCTION enqueue_linked(
    now bigint, ids uuid[], states smallint[], lanes text[], priorities smallint[], tags bigint[],
    ats bigint[], kinds text[], tenants text[], max_attempts_of integer[], versions integer[],
    run_ats bigint[], deadlines bigint[], payloads bytea[], traceparents text[],
    tracestates text[], extras text[], keys text[], untils bigint[], order_keys text[],
    parents uuid[], parent_names text[], depths smallint[], published bigint, awaited boolean)
RETURNS TABLE (place bigint, stands uuid)
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
#variable_conflict use_column
DECLARE
    r record;
    behind boolean;
    lined_up boolean := array_remove(order_keys, NULL) <> '{}';
BEGIN
    PERFORM hold_keys(order_keys);
    FOR r IN
        WITH n AS MATERIALIZED (
            SELECT n.*, nextval('job_seq') AS seq
            FROM unnest(ids, states, lanes, priorities, tags, ats, kinds, tenants, max_attempts_of,
                        versions, run_ats, deadlines, payloads, traceparents, tracestates, extras,
                        keys, untils, order_keys, parents, parent_names, depths) WITH ORDINALITY
                 AS n (id, state, lane, priority, tag, at, kind, tenant, max_attempts, version, run_at,
                       deadline, payload, traceparent, tracestate, extra, key, until, order_key,
                       parent, parent_name, depth, ord)
        )
        SELECT * FROM n
        ORDER BY CASE WHEN NOT lined_up THEN kind END, CASE WHEN NOT lined_up THEN tenant END,
                 CASE WHEN NOT lined_up THEN key END NULLS FIRST, ord
    LOOP
        place := r.ord;
        behind := r.order_key IS NOT NULL AND EXISTS (
            SELECT FROM job WHERE order_key = r.order_key AND order_key IS NOT NULL AND state < 5
                                  AND NOT (state = 0 AND parked_under IS NOT NULL AND at > now));
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
                             tracestate, extra, unique_key, unique_until, order_key, parent,
                             parent_name, depth, published, parked_under, reason, awaited)
            VALUES (r.id, r.seq, CASE WHEN behind THEN 4 ELSE r.state END, r.lane, r.priority, r.tag,
                    CASE WHEN behind THEN now ELSE r.at END, r.kind, r.tenant,
                    r.max_attempts, r.version, now, r.run_at, r.deadline, r.payload, r.traceparent,
                    r.tracestate, r.extra, r.key, r.until, r.order_key, r.parent,
                    r.parent_name, r.depth,
                    CASE WHEN behind OR r.state <> 1 THEN enqueue_linked.published * 0 ELSE enqueue_linked.published END,
                    CASE WHEN behind THEN 'order:' || r.order_key END,
                    CASE WHEN behind THEN 'waits for an earlier job of its ordering key' END,
                    CASE WHEN enqueue_linked.awaited THEN true END)
            ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND; -- else someone was faster: look again
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$$;

-- A parent waits: `made` more children, of which so many failed before they could begin.
CREATE FUNCTION await_children(of uuid, made integer, lost integer, successes integer, failures integer)
RETURNS void
LANGUAGE sql SET search_path = {schema}, pg_temp AS $$
    INSERT INTO flow AS f (parent, children, failed, successes, failures)
    VALUES (of, made, lost, successes, failures)
    ON CONFLICT (parent) DO UPDATE SET children = f.children + excluded.children,
        failed = f.failed + excluded.failed,
        successes = excluded.successes, failures = excluded.failures;
    UPDATE job SET children = coalesce(children, 0) + made WHERE id = of
$$;

-- Dead letters are available again, in the order given; with an ordering key, at the end of its line.
CREATE FUNCTION put_back(ids uuid[], now bigint) RETURNS void
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    keys text[] := ARRAY(SELECT DISTINCT order_key FROM job WHERE id = ANY (ids) AND order_key IS NOT NULL);
BEGIN
    PERFORM hold_keys(keys);
    WITH place AS MATERIALIZED (
        SELECT p.id, nextval('job_seq') AS seq FROM unnest(ids) WITH ORDINALITY AS p (id, ord)
    )
    UPDATE job SET state = CASE WHEN order_key IS NULL THEN 1 ELSE 4 END,
                   parked_under = 'order:' || order_key,
                   reason = CASE WHEN order_key IS NOT NULL THEN 'waits for an earlier job of its ordering key' END,
                   seq = CASE WHEN order_key IS NULL THEN job.seq ELSE place.seq END,
                   at = now, run_at = now, attempt = 0, crashes = 0, cancel = false, class = NULL,
                   finished_at = NULL, fence = fence + 1, untold = NULL, loose = NULL,
                   published = published * 0,
                   deadline = CASE WHEN deadline > now THEN deadline END
    FROM place WHERE job.id = place.id;
    UPDATE job SET tag = tags.tag
    FROM tags_for(ARRAY(SELECT p.id FROM unnest(ids) WITH ORDINALITY AS p (id, ord) JOIN job USING (id)
                        WHERE job.state = 1 ORDER BY p.ord)) AS tags
    WHERE job.id = tags.id;
    IF cardinality(keys) > 0 THEN
        PERFORM go_on(ARRAY(SELECT next_in_line(keys)), now);
    END IF;
END
$$;

-- As version 1, and with an ordering key: jobs of one key run one at a time, in the order in which
-- they took their place. A job takes its place when it is due and its transaction has committed, so
-- a transaction, however long, holds no key that others wait for. Who may call it stays as it was.
CREATE FUNCTION enqueue(
    kind text, payload jsonb, lane text DEFAULT NULL, run_at timestamptz DEFAULT NULL,
    priority integer DEFAULT NULL, tenant text DEFAULT NULL, unique_key text DEFAULT NULL,
    order_key text DEFAULT NULL)
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
    IF octet_length(enqueue.order_key) NOT BETWEEN 1 AND 512 THEN
        RAISE EXCEPTION 'the ordering key has % bytes; 1 to 512 are allowed',
            octet_length(enqueue.order_key) USING ERRCODE = 'invalid_parameter_value';
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
                         enqueued_at, run_at, payload, unique_key, order_key, parked_under, published)
        VALUES (id, 0, to_lane, level, due, enqueue.kind, whose, policy.max_attempts, policy.version,
                now, CASE WHEN due = 0 THEN now ELSE due END, body, enqueue.unique_key,
                enqueue.order_key, 'order:' || enqueue.order_key,
                CASE WHEN policy.brokered THEN 0 END)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    PERFORM pg_notify({channel}, 'w');
    RETURN id;
END
$$;

DO $$
DECLARE
    old regprocedure := '{schema}.enqueue(text, jsonb, text, timestamptz, integer, text, text)';
    new regprocedure := '{schema}.enqueue(text, jsonb, text, timestamptz, integer, text, text, text)';
    r record;
BEGIN
    IF (SELECT proacl IS NOT NULL FROM pg_proc WHERE oid = old) THEN
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', new);
        FOR r IN
            SELECT acl.grantee FROM pg_proc, aclexplode(proacl) AS acl
            WHERE oid = old AND acl.privilege_type = 'EXECUTE' AND acl.grantee <> proowner
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', new,
                           CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END);
        END LOOP;
    END IF;
    EXECUTE format('DROP FUNCTION %s', old);
END
$$;
