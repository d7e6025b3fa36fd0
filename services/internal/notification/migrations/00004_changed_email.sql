-- +goose Up
-- When the address was chosen, as events may come in any order. Of those from before nobody
-- knows, and the version before does not say.
ALTER TABLE contacts ADD COLUMN chosen_at timestamptz NOT NULL DEFAULT '-infinity';
