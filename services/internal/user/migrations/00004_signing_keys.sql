-- +goose Up
CREATE TABLE signing_keys (
    key_id     uuid PRIMARY KEY,
    seed       bytea NOT NULL CHECK (length(seed) = 32), -- an Ed25519 private key, as RFC 8032 has it
    created_at timestamptz NOT NULL DEFAULT now()
);
