-- +goose Up
-- Where users get their mail.
CREATE TABLE contacts (
    user_id uuid PRIMARY KEY,
    email   text NOT NULL
);

-- A mail waits for its user's address, which may come later than what it tells of.
CREATE TABLE mails (
    mail_id      uuid PRIMARY KEY, -- of the event that it tells of
    user_id      uuid NOT NULL,
    subject      text NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    refusal      text -- what the mail server said for good
);
CREATE INDEX mails_to_send ON mails (next_attempt) WHERE sent_at IS NULL AND refusal IS NULL;
