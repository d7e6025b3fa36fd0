-- +goose Up
-- Each status that an order has had. The trigger writes it, so that no statement of any
-- version can forget to.
CREATE TABLE order_history (
    sequence   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES orders,
    status     text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_history_by_order ON order_history (order_id, sequence);
INSERT INTO order_history (order_id, status, changed_at) SELECT order_id, 'pending', created_at FROM orders ORDER BY order_id;
INSERT INTO order_history (order_id, status) SELECT order_id, status FROM orders WHERE status <> 'pending' ORDER BY order_id;

-- +goose StatementBegin
CREATE FUNCTION record_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.status <> OLD.status THEN
        INSERT INTO order_history (order_id, status) VALUES (NEW.order_id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER record_status AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION record_status();

CREATE INDEX orders_by_time ON orders (created_at) WHERE status = 'confirmed';
