#!/usr/bin/env bash
# Runs a command with an engine of its own, one of build/engines or the machine's, in
# namespaces of its own, where it is found at the usual socket. It has the images of
# the machine's engine that compose.yaml names. All of it ends with the command.
# Usage: run.sh ENGINE COMMAND...
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=deploy/lib/common.sh
. "$repository/deploy/lib/common.sh"
# shellcheck source=deploy/lib/engine.sh
. "$repository/deploy/lib/engine.sh"

# outside prepares what the engine needs, and goes inside.
outside() {
	local engine=$1 folder
	shift
	[[ $(id -u) == 0 ]] || fail "starting an engine takes root"
	[[ -x $repository/build/engines/$engine/dockerd ]] ||
		fail "build/engines/$engine is missing: run make engines"
	folder=$(mktemp -d "$repository/build/engines/run-XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$folder'" EXIT
	# Those of profiles need not be there; of user-service there are newer ones, too.
	{
		sed -nE 's/^ *image: *([^ #]+).*/\1/p' "$repository/compose.yaml"
		docker image ls --format '{{.Repository}}:{{.Tag}}' 'shop/*'
	} | sort -u | while read -r image; do
		if docker image inspect "$image" >/dev/null 2>&1; then
			echo "$image"
		fi
	done | xargs docker save --output "$folder/images.tar"
	# /run is hidden, as the machine's engine and its containerd are found there.
	unshare --net --mount --pid --fork --kill-child --mount-proc \
		bash -c 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"' bash \
		"${BASH_SOURCE[0]}" --inside "$folder" "$engine" "$@"
}

# inside starts the engine and runs the command.
inside() {
	local folder=$1 engine=$2 log=$repository/build/engines/$2.log status=0 pid
	shift 2
	export PATH=$repository/build/engines/$engine:$PATH
	export DOCKER_HOST=unix:///run/docker.sock
	dockerd --host "$DOCKER_HOST" --data-root "$folder/data" --exec-root /run/docker --pidfile /run/docker.pid \
		>"$log" 2>&1 &
	pid=$!
	await_engine "$log" "$pid"
	docker load --quiet --input "$folder/images.tar" >/dev/null
	rm "$folder/images.tar"
	"$@" || status=$?
	kill "$pid"
	wait "$pid" || true
	return "$status"
}

case $1 in
--inside) inside "${@:2}" ;;
*) outside "$@" ;;
esac
