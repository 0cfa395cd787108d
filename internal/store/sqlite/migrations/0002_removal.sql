-- What is needed to remove what is old: which runs have something left beside their record (a sum of
-- dayfly.Remains), and what refers to a version. A run keeps the first 16 characters of its version: two
-- versions that share them keep one another.

ALTER TABLE runs ADD COLUMN version TEXT    NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN remains INTEGER NOT NULL DEFAULT 0;

UPDATE runs SET
	version = substr(coalesce(json_extract(body, '$.version'), ''), 1, 16),
	remains = iif(state = 'ended' AND coalesce(json_array_length(body, '$.attempts'), 0) > 0, 3, 0)
WHERE json_valid(body);

CREATE INDEX runs_version ON runs (version);
CREATE INDEX runs_remains ON runs (job, slot, id, remains) WHERE remains <> 0;

-- unused: since when nothing was seen to refer to it.
ALTER TABLE versions ADD COLUMN job    TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN files  TEXT;
ALTER TABLE versions ADD COLUMN unused INTEGER;

UPDATE versions SET job = coalesce(json_extract(body, '$.name'), ''), files = json_extract(body, '$.files_sha256') WHERE json_valid(body);

CREATE INDEX versions_files ON versions (files) WHERE files IS NOT NULL;
