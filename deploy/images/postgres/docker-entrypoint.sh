#!/usr/bin/env bash
# Starts Postgres; on an empty data directory creates the cluster first. The
# environment variables and the init folder are those of the official image.
set -euo pipefail

fail() {
	printf 'postgres image: %s\n' "$*" >&2
	exit 1
}

# file_env NAME [DEFAULT] sets NAME from itself, from the file NAME_FILE, or to
# DEFAULT.
file_env() {
	local name=$1 value=${2:-} file="${1}_FILE"
	if [[ -n ${!name:-} && -n ${!file:-} ]]; then
		fail "both $name and $file are set; set one of them"
	fi
	if [[ -n ${!name:-} ]]; then
		value=${!name}
	elif [[ -n ${!file:-} ]]; then
		value=$(<"${!file}")
	fi
	export "$name=$value"
	unset "$file"
}

read_settings() {
	file_env POSTGRES_PASSWORD
	file_env POSTGRES_USER postgres
	file_env POSTGRES_DB "$POSTGRES_USER"
	file_env POSTGRES_INITDB_ARGS
	: "${POSTGRES_HOST_AUTH_METHOD:=}"

	if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
		fail "a new database needs a password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"
	fi
}

create_cluster() {
	local args
	eval "args=($POSTGRES_INITDB_ARGS)" # quotes inside it group words, as in a shell
	if [[ -n $POSTGRES_PASSWORD ]]; then
		initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${args[@]}"
	else
		initdb --username="$POSTGRES_USER" "${args[@]}"
	fi
	local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
	printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# run_psql DATABASE ARGUMENT... runs psql against the temporary server.
run_psql() {
	local database=$1
	shift
	psql --set=ON_ERROR_STOP=1 --no-psqlrc --no-password \
		--username="$POSTGRES_USER" --dbname="$database" "$@"
}

create_database() {
	[[ $POSTGRES_DB != postgres ]] || return 0
	run_psql postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
}

run_init_files() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		printf 'postgres image: %s\n' "$file"
		case $file in
		*.sh)
			if [[ -x $file ]]; then
				"$file"
			else
				# shellcheck source=/dev/null
				. "$file"
			fi
			;;
		*.sql) run_psql "$POSTGRES_DB" --file="$file" ;;
		*.sql.gz) gunzip --stdout "$file" | run_psql "$POSTGRES_DB" ;;
		*) printf 'postgres image: %s is ignored: it is no .sh, .sql or .sql.gz\n' "$file" ;;
		esac
	done
}

# The server that runs the init files listens on the Unix socket only, so that
# nobody takes a database that is still being made for a ready one.
init() {
	read_settings
	create_cluster
	export PGPASSWORD=$POSTGRES_PASSWORD
	pg_ctl start --wait --options="-c listen_addresses=''"
	create_database
	run_init_files
	pg_ctl stop --mode=fast --wait
	unset POSTGRES_PASSWORD PGPASSWORD
}

if [[ ${1:-} == -* ]]; then
	set -- postgres "$@"
fi

if [[ ${1:-} == postgres ]]; then
	if [[ $(id --user) == 0 ]]; then
		install --directory --owner=postgres --group=postgres --mode=0700 "$PGDATA"
		find "$PGDATA" /run/postgresql \! -user postgres -exec chown postgres '{}' +
		exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
	fi
	mkdir --parents "$PGDATA"
	chmod 0700 "$PGDATA"
	if [[ ! -s $PGDATA/PG_VERSION ]]; then
		shopt -s nullglob
		init
	fi
fi
exec "$@"
