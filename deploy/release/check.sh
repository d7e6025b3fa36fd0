#!/usr/bin/env bash
# Builds a release again, from its commit alone, in another folder, and fails where a byte
# differs. What is for linux/amd64 is also built from nothing that was compiled before: one
# compiler makes the programs for all platforms.
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

build=$work/source/deploy/release/build.sh
"$build" "$version" "$work/cached"
GOCACHE=$work/cache "$build" "$version" "$work/compiled" linux/amd64
for again in cached compiled; do
	if ! (cd "$release" && sha256sum --check --quiet --strict "$work/$again/SHA256SUMS"); then
		printf 'the release was built otherwise a second time (%s)\n' "$again" >&2
		exit 1
	fi
done
echo "the release is the same, built a second time"
