-- +goose Up
ALTER TABLE orders DROP CONSTRAINT orders_failure_check,
    ADD CONSTRAINT orders_failure_check CHECK (failure IN ('out_of_stock', 'payment_declined', 'reservation_expired'));
