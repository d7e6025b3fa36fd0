-- Old events are forgotten.
-- +goose Up
CREATE INDEX inbox_by_time ON inbox (received_at);
