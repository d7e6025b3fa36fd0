-- +goose Up
-- Without one, an order is paid from the user's account at the shop.
ALTER TABLE orders ADD COLUMN method_id uuid;
