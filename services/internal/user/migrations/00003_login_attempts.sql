-- +goose Up
CREATE TABLE login_attempts (
    subject text PRIMARY KEY,       -- an address or an account
    until   timestamptz NOT NULL    -- when its attempts are forgotten: each adds to it
);
CREATE INDEX login_attempts_by_time ON login_attempts (until);
