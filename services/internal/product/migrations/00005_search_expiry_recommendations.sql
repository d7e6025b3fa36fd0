-- +goose Up
-- The words of a product, those of its name above the others.
ALTER TABLE products ADD COLUMN words tsvector NOT NULL GENERATED ALWAYS AS
    (setweight(to_tsvector('english', name), 'A') || setweight(to_tsvector('english', description), 'B')) STORED;
CREATE INDEX products_by_words ON products USING gin (words);

-- Until when an order may take to be completed; null where that does not matter any more.
-- What the version before this one has reserved does not expire.
ALTER TABLE reservations ADD COLUMN expires_at timestamptz;
CREATE INDEX reservations_by_expiry ON reservations (expires_at) WHERE status = 'reserved';

-- How many orders have both of two products, each pair both ways round.
CREATE TABLE bought_together (
    product_id text NOT NULL,
    other_id   text NOT NULL,
    orders     bigint NOT NULL,
    PRIMARY KEY (product_id, other_id)
);

-- What each user has bought.
CREATE TABLE purchases (
    user_id    uuid NOT NULL,
    product_id text NOT NULL,
    PRIMARY KEY (user_id, product_id)
);
