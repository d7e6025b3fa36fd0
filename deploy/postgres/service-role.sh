#!/bin/sh
# Makes the roles that a service has in its database, and the exporter of metrics. The image runs this when it makes
# a new database. It can be run again, in the container: to give the role the password
# that is in the secret now, or the tables of a database that was there before the role.
#
# The role may log in to this database and make tables there, as the service migrates
# it itself, and nothing else: it is no superuser, makes no roles and no databases, and
# sees no other database. The role monitor sees the statistics and no table. Nobody else may
# connect but the superuser.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname="$POSTGRES_DB" \
	--set=role="$SERVICE_ROLE" --set=database="$POSTGRES_DB" <<'SQL'
-- Read here, the password is in no list of processes.
\set password `cat "$SERVICE_PASSWORD_FILE"`
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"role";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO :"role";
\set monitor_password `cat "$MONITOR_PASSWORD_FILE"`
SELECT 'CREATE ROLE monitor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') \gexec
ALTER ROLE monitor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'monitor_password';
GRANT CONNECT ON DATABASE :"database" TO monitor;
GRANT pg_monitor TO monitor;
SELECT format('ALTER TABLE %I.%I OWNER TO %I', schemaname, tablename, :'role') FROM pg_tables
	WHERE schemaname = 'public' AND tableowner <> :'role' \gexec
SQL
