#!/usr/bin/env bash
# Builds engines to test against, each into build/engines/ENGINE, where the program
# dockerd starts it. Safe to repeat: what is there stays.
#   newest    Docker Engine, docker-proxy and runc, from source
#   debian13  Debian 13's packages of Docker Engine, in a root of their own
#   podman    Podman of the same root
# Usage: build.sh ENGINE...
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/lib/common.sh
. deploy/lib/common.sh
# shellcheck source=deploy/lib/packages.sh
. deploy/lib/packages.sh

engines=build/engines
root=$engines/trixie

# go_tool MODULE PACKAGE PROGRAM [BUILD-FLAG...]
go_tool() {
	local module=$1 package=$2 program=$3
	shift 3
	say "building $program"
	go build -C "tools/engines/$module" -trimpath "$@" -o "$PWD/$program" "$package"
}

build_newest() {
	local folder=$engines/newest version
	version=$(go -C tools/engines/dockerd list -m -f '{{.Version}}' github.com/moby/moby/v2)
	if ! pkg-config --exists libseccomp 2>/dev/null || ! have gcc; then
		can_install || fail "runc needs a C compiler, pkg-config and libseccomp's headers: sudo apt-get install gcc pkg-config libseccomp-dev"
		install_packages gcc libc6-dev pkg-config libseccomp-dev
	fi
	CGO_ENABLED=0 go_tool dockerd github.com/moby/moby/v2/cmd/dockerd "$folder/dockerd" \
		-ldflags "-s -w -X github.com/moby/moby/v2/dockerversion.Version=${version#v}"
	CGO_ENABLED=0 go_tool dockerd github.com/moby/moby/v2/cmd/docker-proxy "$folder/docker-proxy" -ldflags '-s -w'
	CGO_ENABLED=1 go_tool runc github.com/opencontainers/runc "$folder/runc" -ldflags '-s -w' -tags 'seccomp netgo osusergo'
}

# build_root makes a small Debian 13 with Docker Engine and Podman.
build_root() {
	[[ ! -e $root ]] || return 0
	if ! have mmdebstrap; then
		can_install || fail "a root of Debian 13 needs mmdebstrap: sudo apt-get install mmdebstrap debian-archive-keyring"
		install_packages mmdebstrap debian-archive-keyring
	fi
	say "building $root with mmdebstrap"
	local log=$engines/trixie.log
	# Under its own name only when it is whole.
	rm -rf "$root.new"
	if ! mmdebstrap --mode=root --variant=minbase --include=docker.io,podman,nftables,procps,ca-certificates \
		trixie "$root.new" "$(mirror)" >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		fail "mmdebstrap failed; the whole output is in $log"
	fi
	mv "$root.new" "$root"
}

# mirror prints the source of Debian 13 at the mirror that this machine has its own
# packages from; without one, mmdebstrap takes its default.
mirror() {
	# shellcheck disable=SC2016 # the fields are apt's to expand
	apt-get indextargets --format 'deb $(REPO_URI) trixie $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' 'Component: main' 'Label: Debian' | sort -u | head -n 1
}

# start_by FILE SCRIPT makes SCRIPT the program that starts an engine.
start_by() {
	mkdir -p "$(dirname "$1")"
	printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"
	chmod +x "$1"
}

build_debian13() {
	build_root
	start_by "$engines/debian13/dockerd" "exec $PWD/tools/engines/in-root.sh $PWD/$root dockerd \"\$@\""
}

build_podman() {
	build_root
	start_by "$engines/podman/dockerd" "exec $PWD/tools/engines/podman.sh $PWD/$root \"\$@\""
}

mkdir -p "$engines"
for engine in "$@"; do
	case $engine in
	newest | debian13 | podman) "build_$engine" ;;
	*) fail "usage: tools/engines/build.sh newest|debian13|podman..." ;;
	esac
done
