-- Version 1.2.0 contracts, once no replica of 1.0.0 is left and nobody goes back to it: 1.1.0
-- fills the column. A constraint is validated while others write; after that SET NOT NULL
-- need not read the table under its lock. Each statement can be repeated after a crash.
-- +goose NO TRANSACTION
-- +goose Up
UPDATE users SET locale = 'en' WHERE locale IS NULL;
ALTER TABLE users DROP CONSTRAINT IF EXISTS users_locale_is_set;
ALTER TABLE users ADD CONSTRAINT users_locale_is_set CHECK (locale IS NOT NULL) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT users_locale_is_set;
ALTER TABLE users ALTER COLUMN locale SET NOT NULL;
ALTER TABLE users DROP CONSTRAINT users_locale_is_set;
