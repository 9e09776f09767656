-- Version 2: ordering keys, flows, cells, ends to be told. A job that has none of them has three
-- nulls and a zero more in its row and is in no further index.

-- What else a job takes part in: 1 it is a child (table child), 2 it has awaited children (table
-- flow), 4 it has an ordering key.
ALTER TABLE job ADD COLUMN ties INTEGER NOT NULL DEFAULT 0;

-- Jobs of one key: place null holds it, the others are parked in line, lowest place first.
ALTER TABLE job ADD COLUMN order_key TEXT;
ALTER TABLE job ADD COLUMN place INTEGER;
CREATE INDEX job_line ON job (order_key, place) WHERE order_key IS NOT NULL AND state < 5;

-- 1: it has ended and nobody was told; else null.
ALTER TABLE job ADD COLUMN untold INTEGER;
CREATE INDEX job_untold ON job (finished_at, seq) WHERE untold IS NOT NULL;

-- Whose child a job is.
CREATE TABLE child (
    seq     INTEGER PRIMARY KEY,
    parent  BLOB    NOT NULL,                    -- id
    name    TEXT    NOT NULL,
    depth   INTEGER NOT NULL,
    awaited INTEGER NOT NULL                     -- 1: its end is still to be counted on its parent
) STRICT;
CREATE INDEX child_parent ON child (parent, seq);

-- How the children of a job stand, and what it waits for.
CREATE TABLE flow (
    seq       INTEGER PRIMARY KEY,
    children  INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    successes INTEGER NOT NULL,
    failures  INTEGER NOT NULL
) STRICT;

-- Small pieces of state that the fleet agrees on.
CREATE TABLE cell (
    key        TEXT NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    value      BLOB NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX cell_expiry ON cell (expires_at) WHERE expires_at IS NOT NULL;

-- The latest version given to any cell: a key that comes back begins above its former ones.
CREATE TABLE cell_version (latest INTEGER NOT NULL) STRICT;
INSERT INTO cell_version (latest) VALUES (0);
