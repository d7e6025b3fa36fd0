-- +goose Up
-- How the order is seen through. One that goes by events is claimed for ever, so that no
-- version of the service takes its steps by calls.
ALTER TABLE orders ADD COLUMN saga text NOT NULL DEFAULT 'orchestrated' CHECK (saga IN ('orchestrated', 'choreographed'));
