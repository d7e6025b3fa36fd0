-- +goose Up
-- Events that the bus does not have yet. The relay takes them out.
CREATE TABLE outbox (
    sequence   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type text NOT NULL,
    event      json NOT NULL
);

-- Events of others that have had their effect here.
CREATE TABLE inbox (
    event_id    uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now()
);
