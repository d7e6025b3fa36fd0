-- +goose Up
-- Of the event that a mail tells of. The version before does not write them.
ALTER TABLE mails ADD COLUMN correlation_id text NOT NULL DEFAULT '', ADD COLUMN traceparent text NOT NULL DEFAULT '';
