-- +goose Up
CREATE TABLE payments (
    payment_id      uuid PRIMARY KEY,
    order_id        uuid NOT NULL,
    user_id         uuid NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0), -- minor units
    status          text NOT NULL CHECK (status IN ('paid', 'declined', 'refunded')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    refunded_at     timestamptz CHECK ((refunded_at IS NOT NULL) = (status = 'refunded')),
    caller          text NOT NULL,
    idempotency_key text,
    fingerprint     bytea NOT NULL,
    UNIQUE (caller, idempotency_key)
);
CREATE UNIQUE INDEX payments_one_per_order ON payments (user_id, order_id) WHERE status = 'paid';
CREATE INDEX payments_by_user ON payments (user_id, payment_id DESC);
