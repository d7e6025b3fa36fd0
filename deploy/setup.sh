#!/usr/bin/env bash
# Prepares this machine for the shop: a container engine, the images that
# compose.yaml names, the secrets and .env. Safe to repeat: what is there stays.
# With --test also what `make test` needs: Postgres, Redis, RabbitMQ, nginx, an image
# registry, Prometheus, Alertmanager, tmux, sshd, Chromium, and the image of a Debian with systemd; with --data the image of
# MariaDB, which `make chaos-data` runs; with --rabbitmq that of the profile rabbitmq, and with --observability those of that
# profile, which is switched on in .env; with --tls
# a certificate for the gateway, from an authority of its own, and compose.tls.yaml.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/lib/common.sh
. deploy/lib/common.sh
# shellcheck source=deploy/lib/packages.sh
. deploy/lib/packages.sh
# shellcheck source=deploy/lib/engine.sh
. deploy/lib/engine.sh
# shellcheck source=deploy/lib/images.sh
. deploy/lib/images.sh
# shellcheck source=deploy/lib/project.sh
. deploy/lib/project.sh

case ${1:-} in
'' | --test | --data | --rabbitmq | --observability | --tls) ;;
*) fail "usage: deploy/setup.sh [--test | --data | --rabbitmq | --observability | --tls]" ;;
esac

ensure_engine
ensure_images compose.yaml
ensure_secrets "$PWD"
ensure_env "$PWD"
case ${1:-} in
--test)
	ensure_test_programs
	ensure_built tend/systemd:bookworm
	;;
--data) ensure_image mariadb:10.11-bookworm ;;
--rabbitmq) ensure_images compose.yaml rabbitmq ;;
--observability)
	ensure_images compose.yaml observability
	set_env "$PWD/.env" COMPOSE_PROFILES observability
	set_env "$PWD/.env" OTEL_EXPORTER_OTLP_ENDPOINT http://jaeger:4318
	;;
--tls)
	ensure_certificates "$PWD"
	set_env "$PWD/.env" COMPOSE_FILE compose.yaml:compose.tls.yaml
	;;
esac
