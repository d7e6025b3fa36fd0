-- Version 1.1.0 expands: a nullable column, which version 1.0.0 goes on inserting without.
-- Nothing is rewritten, so the table is locked for a moment only.
-- +goose Up
ALTER TABLE users ADD COLUMN locale text;
