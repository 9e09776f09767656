-- Flotilla's jobs in one SQLite file, version 1.
-- Instants are microseconds since 1970-01-01T00:00:00Z. States and classes are numbered as in code.rs:
-- 0 scheduled, 1 available, 2 running, 3 retryable, 4 parked, 5 completed, 6 cancelled, 7 dead.

-- What changes while a job lives, and what it is found by. Narrow, so that many fit on a page:
-- claim, extend and settle rewrite these rows and no others.
CREATE TABLE job (
    seq              INTEGER PRIMARY KEY,        -- the receipt; grows with each enqueue
    id               BLOB    NOT NULL,           -- 16 bytes
    state            INTEGER NOT NULL,
    lane             TEXT    NOT NULL,
    priority         INTEGER NOT NULL,
    tag              INTEGER NOT NULL,           -- place among its band (fair.rs of the core)
    at               INTEGER NOT NULL,           -- scheduled, retryable: due; available: since; running: end of
                                                 -- the lease; parked: since; finished: kept until,
                                                 -- 0 where nobody said until when
    kind             TEXT    NOT NULL,
    tenant           TEXT    NOT NULL,
    fence            INTEGER NOT NULL DEFAULT 0, -- number of the latest lease
    attempt          INTEGER NOT NULL DEFAULT 0,
    max_attempts     INTEGER NOT NULL,
    crashes          INTEGER NOT NULL DEFAULT 0,
    version          INTEGER NOT NULL,           -- of the payload
    enqueued_at      INTEGER NOT NULL,
    run_at           INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    deadline         INTEGER,
    holder           INTEGER,                    -- holder.no
    cancel           INTEGER NOT NULL DEFAULT 0, -- someone asked it to stop
    class            INTEGER,                    -- why it is dead
    reason           TEXT,
    parked_under     TEXT,
    unique_key       TEXT,
    unique_until     INTEGER,                    -- null: the key holds until the job is finished;
                                                 -- else see key_window
    progress         REAL,
    progress_message TEXT
) STRICT;

CREATE UNIQUE INDEX job_id ON job (id);

-- Claims walk this in order and need no row before they have chosen.
CREATE INDEX job_ready ON job (lane, priority DESC, tag, seq, kind, deadline, at) WHERE state = 1;

-- Everything that waits for an instant (due, end of the lease, end of the retention), and the counts.
CREATE INDEX job_place ON job (state, lane, at) WHERE state <> 1;

CREATE INDEX job_parked ON job (parked_under, seq) WHERE parked_under IS NOT NULL;

CREATE INDEX job_deadline ON job (deadline) WHERE deadline IS NOT NULL AND state IN (0, 1, 3, 4);

-- Holders of unique keys; they leave by themselves when the job is finished.
CREATE UNIQUE INDEX job_unique ON job (kind, tenant, unique_key)
    WHERE unique_key IS NOT NULL AND unique_until IS NULL AND state < 5;

-- Holders of unique keys for a while, whatever becomes of the job and its record.
CREATE TABLE key_window (
    kind   TEXT    NOT NULL,
    tenant TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    until  INTEGER NOT NULL,
    id     BLOB    NOT NULL,
    PRIMARY KEY (kind, tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_window_until ON key_window (until);

-- What never changes; apart from `job`, so that a large payload is written once.
CREATE TABLE body (
    seq         INTEGER PRIMARY KEY,
    payload     BLOB NOT NULL,
    traceparent TEXT,
    tracestate  TEXT,
    extra       TEXT                             -- JSON object, null when empty
) STRICT;

-- Results other than `null`.
CREATE TABLE result (
    seq   INTEGER PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- The latest failed attempts of each job.
CREATE TABLE attempt_error (
    seq     INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    worker  TEXT    NOT NULL,
    error   TEXT    NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;

-- Fair order. tenant '': the band's time (highest tag claimed); priority -1: places the lane gave.
-- One table, so that a small transaction touches one page of it.
CREATE TABLE fair (
    lane     TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    tenant   TEXT    NOT NULL,
    value    INTEGER NOT NULL,
    PRIMARY KEY (lane, priority, tenant)
) STRICT, WITHOUT ROWID;

-- Names of workers that ever held a job; rows of `job` name them by number.
CREATE TABLE holder (
    no   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE pause (
    lane   TEXT PRIMARY KEY,
    by     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
    id          TEXT PRIMARY KEY,
    version     TEXT    NOT NULL,
    lanes       TEXT    NOT NULL,                -- JSON array
    concurrency INTEGER NOT NULL,
    running     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    draining    INTEGER NOT NULL,
    asked       INTEGER NOT NULL DEFAULT 0       -- someone asked it to drain
) STRICT, WITHOUT ROWID;

CREATE TABLE cron (
    name     TEXT PRIMARY KEY,
    fired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
