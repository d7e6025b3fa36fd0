#!/usr/bin/env bash
# Starts MariaDB as the user mysql; in an empty data directory makes the
# database first. The environment variables are those of the official image.
set -euo pipefail

data=/var/lib/mysql

# Quotes in the values would end the SQL strings they stand in.
quoted() {
	printf "'%s'" "${1//\'/\'\'}"
}

init() {
	local password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
	local database=${MARIADB_DATABASE:-${MYSQL_DATABASE:-}}
	local user=${MARIADB_USER:-${MYSQL_USER:-}}
	if [[ -z $password ]]; then
		printf 'mariadb image: a new database needs a password: set MARIADB_ROOT_PASSWORD\n' >&2
		exit 1
	fi
	mariadb-install-db --datadir="$data" --auth-root-authentication-method=normal --skip-name-resolve --skip-test-db >/dev/null
	{
		printf 'FLUSH PRIVILEGES;\n'
		printf "ALTER USER root@localhost IDENTIFIED BY %s;\n" "$(quoted "$password")"
		printf "CREATE USER root@'%%' IDENTIFIED BY %s;\n" "$(quoted "$password")"
		# shellcheck disable=SC2016 # the backquotes are SQL's
		printf 'GRANT ALL ON *.* TO root@'"'%%'"' WITH GRANT OPTION;\n'
		if [[ -n $database ]]; then
			# shellcheck disable=SC2016
			printf 'CREATE DATABASE `%s`;\n' "$database"
		fi
		if [[ -n $user ]]; then
			printf "CREATE USER %s@'%%' IDENTIFIED BY %s;\n" "$(quoted "$user")" "$(quoted "${MARIADB_PASSWORD:-${MYSQL_PASSWORD:-}}")"
			# shellcheck disable=SC2016
			printf 'GRANT ALL ON `%s`.* TO %s@'"'%%'"';\n' "${database:-mysql}" "$(quoted "$user")"
		fi
	} | mariadbd --bootstrap --datadir="$data"
}

if [[ ${1:-} == -* ]]; then
	set -- mariadbd "$@"
fi

if [[ ${1:-} == mariadbd ]]; then
	if [[ $(id --user) == 0 ]]; then
		find "$data" /run/mysqld \! -user mysql -exec chown mysql '{}' +
		exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
	fi
	if [[ ! -d $data/mysql ]]; then
		init
	fi
fi
exec "$@"
