#!/usr/bin/env bash
# Builds the image IMAGE around the program build/bin/BINARY with the root
# Dockerfile, unless the engine has that very image.
# Usage: build-image.sh IMAGE BINARY
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
image=$1 binary=$2

# The engine is asked, and no file is kept: whoever removes the image or turns
# to another engine gets it built again.
label=dev.tend.content
content=$(sha256sum Dockerfile "build/bin/$binary" | sha256sum | cut -d ' ' -f 1)
if [[ $(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$image" 2>/dev/null) == "$content" ]]; then
	exit 0
fi

echo "building the image $image"
# Only what the Dockerfile copies is sent to the engine.
build() {
	tar --create Dockerfile "build/bin/$binary" |
		DOCKER_BUILDKIT=0 docker build --force-rm --build-arg BINARY="$binary" \
			--label "$label=$content" --tag "$image" -
}
if ! output=$(build 2>&1); then
	printf '%s\nthe image %s cannot be built\n' "$output" "$image" >&2
	exit 1
fi
