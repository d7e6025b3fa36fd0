-- +goose Up
CREATE TABLE addresses (
    address_id      uuid PRIMARY KEY,
    user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    recipient       text NOT NULL,
    street          text NOT NULL,
    postal_code     text NOT NULL,
    city            text NOT NULL,
    country         text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    created_at      timestamptz NOT NULL DEFAULT now(),
    idempotency_key text,
    fingerprint     bytea NOT NULL, -- of the request that made it
    UNIQUE (user_id, idempotency_key)
);
