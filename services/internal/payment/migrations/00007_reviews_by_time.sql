-- Payments that wait too long for their review are declined.
-- +goose Up
CREATE INDEX payments_in_review ON payments (created_at) WHERE status = 'review';
