#!/usr/bin/env bash
# Starts RabbitMQ as the user rabbitmq, as the official image does.
set -euo pipefail

if [[ ${1:-} == rabbitmq* && $(id --user) == 0 ]]; then
	find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
	exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi
exec "$@"
