-- A backfill's runs lie between all others of its job, in whatever time it was for: they are found by its id, which
-- a run keeps for good. A damaged record stays as it is, here as everywhere.

ALTER TABLE runs ADD COLUMN backfill TEXT NOT NULL DEFAULT '';

UPDATE runs SET backfill = coalesce(json_extract(body, '$.backfill'), '') WHERE instr(body, '"backfill":') > 0 AND json_valid(body);

CREATE INDEX runs_backfill         ON runs (backfill, slot, id)          WHERE backfill <> '';
CREATE INDEX runs_backfill_outcome ON runs (backfill, outcome, slot, id) WHERE backfill <> '' AND outcome <> '';
