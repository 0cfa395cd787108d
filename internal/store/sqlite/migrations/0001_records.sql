-- Instants are microseconds since 1970, UTC. A body is the record's JSON; columns beside it are what
-- is searched. Nothing here refers to a row of another table: no operation needs two to change together.

CREATE TABLE versions (
	version TEXT NOT NULL PRIMARY KEY,
	body    TEXT NOT NULL
) STRICT;

-- A deleted job stays as a row without a body: its name, should it come back, goes on from its revision.
CREATE TABLE jobs (
	name     TEXT    NOT NULL PRIMARY KEY,
	rev      INTEGER NOT NULL,
	next_due INTEGER,
	body     TEXT
) STRICT;

CREATE INDEX jobs_due ON jobs (next_due, name) WHERE next_due IS NOT NULL;

CREATE TABLE runs (
	id      TEXT    NOT NULL UNIQUE,
	job     TEXT    NOT NULL,
	slot    INTEGER NOT NULL,
	shard   TEXT    NOT NULL,
	n       INTEGER NOT NULL,
	state   TEXT    NOT NULL,
	outcome TEXT    NOT NULL,
	rev     INTEGER NOT NULL,
	body    TEXT    NOT NULL,
	UNIQUE (job, slot, shard, n)
) STRICT;

-- What is active is little, however much has ended.
CREATE INDEX runs_active     ON runs (slot, id)      WHERE state <> 'ended';
CREATE INDEX runs_active_job ON runs (job, slot, id) WHERE state <> 'ended';

-- The history, by each filter, in its order. A run has an outcome only when it is ended.
CREATE INDEX runs_slot        ON runs (slot, id);
CREATE INDEX runs_job         ON runs (job, slot, id);
CREATE INDEX runs_outcome     ON runs (outcome, slot, id)      WHERE outcome <> '';
CREATE INDEX runs_job_outcome ON runs (job, outcome, slot, id) WHERE outcome <> '';

CREATE TABLE ranges (
	job       TEXT    NOT NULL,
	from_slot INTEGER NOT NULL,
	to_slot   INTEGER NOT NULL,
	body      TEXT    NOT NULL,
	PRIMARY KEY (job, from_slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
	key     TEXT NOT NULL PRIMARY KEY,
	value   TEXT NOT NULL,
	expires INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX notes_expired ON notes (expires) WHERE expires IS NOT NULL;
