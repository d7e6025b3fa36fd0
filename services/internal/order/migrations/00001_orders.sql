-- +goose Up
CREATE TABLE orders (
    order_id        uuid PRIMARY KEY,
    user_id         uuid NOT NULL,
    status          text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelling', 'cancelled', 'failed')),
    failure         text CHECK (failure IN ('out_of_stock', 'payment_declined')),
    total           bigint NOT NULL CHECK (total > 0), -- minor units
    reserved_items  integer NOT NULL DEFAULT 0,        -- how many items, from the first, a cancelling order gives back
    payment_id      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    claimed_until   timestamptz NOT NULL,              -- until then whoever claimed the order works on it
    idempotency_key text,
    fingerprint     bytea NOT NULL,
    CHECK (status <> 'confirmed' OR payment_id IS NOT NULL),
    CHECK (status <> 'failed' OR failure IS NOT NULL),
    UNIQUE (user_id, idempotency_key)
);
CREATE INDEX orders_by_user ON orders (user_id, order_id DESC);
CREATE INDEX orders_unfinished ON orders (claimed_until) WHERE status IN ('pending', 'cancelling');

CREATE TABLE order_items (
    order_id   uuid NOT NULL REFERENCES orders,
    position   integer NOT NULL,
    product_id text NOT NULL,
    name       text NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    price      bigint NOT NULL CHECK (price > 0), -- of one, minor units, when ordered
    PRIMARY KEY (order_id, position)
);
