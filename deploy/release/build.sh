#!/usr/bin/env bash
# Builds what is released into a folder, which is made anew: programs, packages, bills of
# materials, checksums. The same commit gives the same bytes on every machine.
# Usage: build.sh VERSION FOLDER [PLATFORM...], for all platforms where none is given
set -euo pipefail

version=$1
platforms=("${@:3}")
if [[ ${#platforms[@]} == 0 ]]; then
	platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)
fi
mkdir -p "$2"
release=$(cd "$2" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rm -rf "${release:?}"/*

for platform in "${platforms[@]}"; do
	os=${platform%/*} arch=${platform#*/}
	file=$release/tend-$os-$arch
	if [[ $os == windows ]]; then
		file+=.exe
	fi
	echo "building $(basename "$file")"
	GOOS=$os GOARCH=$arch CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$file" ./cmd/tend
done
go -C tools run ./sbom "$release"/tend-*
for program in "$release"/tend-linux-*64; do
	deploy/release/package.sh "$version" "${program##*-}" "$release"
done
(cd "$release" && sha256sum -- * >SHA256SUMS)
