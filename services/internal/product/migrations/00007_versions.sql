-- +goose Up
-- What the catalogue says of a product has a version, greater than each before it.
CREATE SEQUENCE product_versions;
ALTER TABLE products ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- +goose StatementBegin
CREATE FUNCTION set_product_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('product_versions');
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- Whatever changes the catalogue, a migration or a person, its event is in the outbox.
-- +goose StatementBegin
CREATE FUNCTION tell_product_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    type text := 'product.' || CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated' ELSE 'deleted' END;
    id text := CASE TG_OP WHEN 'DELETE' THEN OLD.product_id ELSE NEW.product_id END;
    version bigint := CASE TG_OP WHEN 'DELETE' THEN nextval('product_versions') ELSE NEW.version END;
BEGIN
    INSERT INTO outbox (event_type, event) VALUES (type, json_build_object(
        'eventId', gen_random_uuid(), 'eventType', type, 'aggregateId', id,
        'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'correlationId', '',
        'data', json_build_object('productId', id, 'version', version)));
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- The inventory, which changes with each order, is not of the catalogue.
CREATE TRIGGER set_version BEFORE INSERT OR UPDATE OF name, description, price, category ON products
    FOR EACH ROW EXECUTE FUNCTION set_product_version();
CREATE TRIGGER tell_change AFTER INSERT OR DELETE OR UPDATE OF name, description, price, category ON products
    FOR EACH ROW EXECUTE FUNCTION tell_product_change();

-- Changes that the search index does not have yet.
CREATE TABLE unindexed (
    sequence   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id text NOT NULL,
    version    bigint NOT NULL
);
