#!/usr/bin/env bash
# Starts Redis as the user redis, with the official image's rules for the
# command: options alone, or a configuration file, mean redis-server.
set -euo pipefail

if [[ ${1:-} == -* || ${1:-} == *.conf ]]; then
	set -- redis-server "$@"
fi

if [[ ${1:-} == redis-server ]]; then
	if [[ $(id --user) == 0 ]]; then
		find . \! -user redis -exec chown redis '{}' +
		exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
	fi
	# The official image is compiled with protected mode off by default. Only a
	# default: a configuration file or an option that names it decides.
	if [[ ${2:-} != *.conf ]]; then
		set -- redis-server --protected-mode no "${@:2}"
	fi
	umask 0077
fi
exec "$@"
