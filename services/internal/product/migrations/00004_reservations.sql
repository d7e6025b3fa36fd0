-- +goose Up
-- What orders that go by events have reserved. A row is kept for good: a request that
-- comes late or twice finds what became of the order.
CREATE TABLE reservations (
    order_id uuid PRIMARY KEY,
    status   text NOT NULL CHECK (status IN ('reserved', 'rejected', 'released')),
    items    json NOT NULL
);
