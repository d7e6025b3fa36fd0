#!/usr/bin/env bash
# Builds the image NAME around the program build/bin/jaeger, which make builds first: that
# takes minutes, once. Usage: build.sh NAME
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
make build/bin/jaeger
tar --create --directory deploy/images/jaeger Dockerfile --directory "$PWD/build/bin" jaeger |
	docker build --force-rm --tag "$1" -
