#!/usr/bin/env bash
# Becomes Podman's API service in the folder ROOT, with the options of dockerd that the
# tests start an engine with.
# Usage: podman.sh ROOT [DOCKERD-OPTION...]
set -euo pipefail

root=$1 host=unix:///run/docker.sock options=()
shift
while (($# > 0)); do
	case $1 in
	--host) host=$2 ;;
	--data-root) options+=(--root "$2") ;;
	--exec-root) options+=(--runroot "$2") ;;
	--pidfile) ;;
	*)
		echo "podman has no option $1" >&2
		exit 1
		;;
	esac
	shift 2
done
exec "$(dirname "${BASH_SOURCE[0]}")/in-root.sh" "$root" podman "${options[@]}" system service --time 0 "$host"
