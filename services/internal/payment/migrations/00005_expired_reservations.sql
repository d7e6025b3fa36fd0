-- +goose Up
ALTER TABLE payments DROP CONSTRAINT payments_reason_check,
    ADD CONSTRAINT payments_reason_check CHECK (reason IN ('amount', 'velocity', 'mismatch', 'review', 'expired'));
