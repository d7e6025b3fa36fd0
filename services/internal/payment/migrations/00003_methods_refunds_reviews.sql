-- +goose Up
-- A token stands for a card at whoever took its number; the shop never has that.
CREATE TABLE payment_methods (
    method_id    uuid PRIMARY KEY,
    user_id      uuid NOT NULL,
    token        text NOT NULL,
    brand        text NOT NULL,
    last4        text NOT NULL CHECK (last4 ~ '^[0-9]{4}$'),
    expiry_month integer NOT NULL CHECK (expiry_month BETWEEN 1 AND 12),
    expiry_year  integer NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, token)
);

ALTER TABLE payments
    -- Not a foreign key: a method that is removed leaves the payments made with it.
    ADD COLUMN method_id uuid,
    ADD COLUMN reason text CHECK (reason IN ('amount', 'velocity', 'mismatch', 'review')),
    ADD COLUMN refunded_amount bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT payments_status_check,
    ADD CONSTRAINT payments_status_check CHECK (status IN ('paid', 'declined', 'refunded', 'review'));
UPDATE payments SET refunded_amount = amount WHERE status = 'refunded';
ALTER TABLE payments ADD CHECK (refunded_amount BETWEEN 0 AND amount);
CREATE INDEX payments_by_time ON payments (user_id, created_at);

-- One row for each refund that was asked for with an Idempotency-Key.
CREATE TABLE refunds (
    caller          text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    payment_id      uuid NOT NULL REFERENCES payments,
    PRIMARY KEY (caller, idempotency_key)
);

-- What happened to payments, in order; nothing is changed in it. The trigger writes it,
-- so that no statement of any version can forget to.
CREATE TABLE transactions (
    transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id     uuid NOT NULL REFERENCES payments,
    user_id        uuid NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('charge', 'decline', 'hold', 'refund')),
    amount         bigint NOT NULL CHECK (amount > 0),
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transactions_by_user ON transactions (user_id, transaction_id DESC);
INSERT INTO transactions (payment_id, user_id, kind, amount, created_at)
    SELECT payment_id, user_id, CASE status WHEN 'declined' THEN 'decline' ELSE 'charge' END, amount, created_at FROM payments ORDER BY payment_id;
INSERT INTO transactions (payment_id, user_id, kind, amount, created_at)
    SELECT payment_id, user_id, 'refund', amount, refunded_at FROM payments WHERE status = 'refunded' ORDER BY payment_id;

-- +goose StatementBegin
CREATE FUNCTION complete_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The version before this one knows whole refunds only, and no amount of them.
    IF NEW.status = 'refunded' THEN
        NEW.refunded_amount := NEW.amount;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER complete_refund BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION complete_refund();

-- +goose StatementBegin
CREATE FUNCTION record_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (OLD.status = 'review' AND NEW.status <> 'review') THEN
        INSERT INTO transactions (payment_id, user_id, kind, amount)
            VALUES (NEW.payment_id, NEW.user_id, CASE NEW.status WHEN 'declined' THEN 'decline' WHEN 'review' THEN 'hold' ELSE 'charge' END, NEW.amount);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.refunded_amount > OLD.refunded_amount THEN
        INSERT INTO transactions (payment_id, user_id, kind, amount)
            VALUES (NEW.payment_id, NEW.user_id, 'refund', NEW.refunded_amount - OLD.refunded_amount);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER record_transaction AFTER INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION record_transaction();
