#!/usr/bin/env bash
# Makes the .deb and the .rpm of one architecture beside its program, FOLDER/tend-linux-ARCH,
# which has its bill of materials beside it.
# Usage: package.sh VERSION ARCH FOLDER
set -euo pipefail

version=$1 arch=$2
folder=$(cd "$3" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file is as old as the commit.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH CGO_ENABLED=0

cp "$folder/tend-linux-$arch" "$work/tend"
cp "$folder/tend-linux-$arch.cdx.json" "$work/tend.cdx.json"
cp LICENSE deploy/release/{nfpm.yaml,tend@.service,postinstall.sh,preremove.sh} "$work"
go run -trimpath ./cmd/reference man "$version" "$work/man"
gzip -9n "$work"/man/*
for shell in bash zsh fish; do
	go run -trimpath ./cmd/tend completion "$shell" >"$work/tend.$shell"
done
nfpm=$PWD/build/bin/nfpm
cd "$work"
for format in deb rpm; do
	VERSION=$version ARCH=$arch "$nfpm" package --packager "$format" --target "$folder"
done
