#!/usr/bin/env bash
# Builds a release again, from its commit alone, in another folder and from nothing that was
# compiled before, and fails where a byte differs.
# Usage: check.sh VERSION FOLDER
set -euo pipefail

version=$1
release=$(cd "$2" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'git worktree remove --force "$work/source"; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/source"
mkdir -p "$work/source/build/bin"
cp build/bin/nfpm "$work/source/build/bin/"

GOCACHE=$work/cache "$work/source/deploy/release/build.sh" "$version" "$work/release"
if ! diff "$release/SHA256SUMS" "$work/release/SHA256SUMS"; then
	printf 'the release was built otherwise a second time\n' >&2
	exit 1
fi
echo "the release is the same, built a second time"
