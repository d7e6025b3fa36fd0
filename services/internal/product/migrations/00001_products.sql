-- +goose Up
CREATE TABLE products (
    product_id  text PRIMARY KEY,
    name        text NOT NULL,
    description text NOT NULL,
    price       bigint NOT NULL CHECK (price > 0), -- minor units
    category    text NOT NULL,
    inventory   bigint NOT NULL CHECK (inventory >= 0)
);
CREATE INDEX products_by_category ON products (category, name, product_id);

-- One row for each Idempotency-Key: what was asked and what came of it. A refusal
-- is kept too, so that a delayed repetition cannot succeed after it.
CREATE TABLE inventory_changes (
    caller          text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    product_id      text NOT NULL REFERENCES products,
    applied         boolean NOT NULL,
    inventory       bigint NOT NULL, -- after the change
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, idempotency_key)
);
