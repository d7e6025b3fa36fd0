-- A nullable column without a default: the table is not rewritten, and the
-- replicas of before go on inserting without it.
-- +goose Up
ALTER TABLE users ADD COLUMN idempotency_key text;
