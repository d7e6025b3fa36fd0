#!/usr/bin/env bash
# Builds the image NAME: a small Debian 12 made by mmdebstrap, for when no
# registry is within reach. Usage: build.sh NAME
set -euo pipefail

name=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The machine's own Debian 12 sources, so that its mirror is used. There are
# none on another release or distribution; mmdebstrap then takes its default.
# shellcheck disable=SC2016 # the fields are apt's to expand
apt-get indextargets --format '$(CODENAME) deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
	'Created-By: Packages' 'Origin: Debian' |
	awk '$1 ~ /^bookworm(-updates|-security)?$/ { sub(/^[^ ]+ /, ""); print }' |
	sort -u >"$work/sources.list"
sources=()
if [[ -s $work/sources.list ]]; then
	sources=("$work/sources.list")
fi

# Written to a file first: `docker import` of a cut stream would leave a
# broken image under a good name.
mmdebstrap --quiet --variant=minbase \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-include=/usr/share/doc/*/copyright' \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/info/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	bookworm "$work/base.tar" "${sources[@]}"

docker import \
	--change 'CMD ["bash"]' \
	--change 'LABEL org.opencontainers.image.description="Debian 12, made by mmdebstrap; see deploy/images/base"' \
	"$work/base.tar" "$name" >/dev/null
