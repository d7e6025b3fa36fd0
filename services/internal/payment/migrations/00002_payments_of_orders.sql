-- An order has at most one payment that was made, whoever it was made for, and
-- also after its refund: nobody pays for what is cancelled.
-- +goose Up
CREATE UNIQUE INDEX payments_made_once ON payments (order_id) WHERE status <> 'declined';
DROP INDEX payments_one_per_order;
