#!/usr/bin/env bash
# Becomes a program that is installed in the folder ROOT, and sees the devices, the
# processes, /run, /tmp and this repository as they are here. pivot_root rather than
# chroot: runc refuses to run in the latter.
# Usage: in-root.sh ROOT PROGRAM [ARGUMENT...]
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2016 # for the inner shell to expand
exec unshare --mount bash -euc '
	root=$1 repository=$2
	shift 2
	mount --bind "$root" "$root"
	mkdir -p "$root$repository"
	mount --bind "$repository" "$root$repository"
	for folder in /dev /proc /run /sys /tmp; do
		mount --rbind "$folder" "$root$folder"
	done
	cd "$root"
	pivot_root . mnt
	umount --lazy /mnt
	cd /
	PATH=/usr/sbin:/usr/bin:/sbin:/bin # that of the root, in which nothing leads back here
	exec "$@"' bash "$1" "$repository" "${@:2}"
