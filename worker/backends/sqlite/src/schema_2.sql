-- Version 2: ordering keys, flows, cells, ends to be told. They have tables of their own and a job
-- has no column more, so that one without them costs nothing.

-- 1: someone asked it to stop; what else it takes part in: 2 it is a child (table child), 4 it has
-- awaited children (table flow), 8 it has an ordering key (table ordered).
-- The new name also stops processes of version 1 that still have the file open: they would end jobs
-- without moving lines and counting children.
ALTER TABLE job RENAME COLUMN cancel TO flags;

-- Jobs with an ordering key. Of the unfinished ones of a key one holds it, the others are parked
-- in line, lowest place first.
CREATE TABLE ordered (
    seq       INTEGER PRIMARY KEY,
    order_key TEXT NOT NULL,
    place     INTEGER                            -- 0: it holds the key; null: it is finished
) STRICT;
CREATE INDEX ordered_line ON ordered (order_key, place) WHERE place IS NOT NULL;

-- Finished jobs nobody was told of, while events are on.
CREATE TABLE untold (
    seq         INTEGER PRIMARY KEY,
    finished_at INTEGER NOT NULL
) STRICT;
CREATE INDEX untold_first ON untold (finished_at, seq);

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
