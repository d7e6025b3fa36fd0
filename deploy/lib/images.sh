# The images that compose.yaml names.
# shellcheck shell=bash

base_image=tend/debian:bookworm

has_image() {
	docker image inspect "$1" >/dev/null 2>&1
}

# ensure_images COMPOSE-FILE [PROFILE] makes sure of the images of a profile, or of those that
# belong to none. Images under shop/ and tend/ are this project's own: `make images` builds
# them.
ensure_images() {
	local image
	while read -r image; do
		ensure_image "$image"
	done < <(awk -v wanted="[${2:-}]" '
		function service() {
			if (image && profiles == wanted) print image
			image = ""
			profiles = "[]"
		}
		/^  [^ ]/ { service() }
		$1 == "image:" { image = $2 }
		$1 == "profiles:" { profiles = $2 }
		END { service() }' "$1" | grep -vE '^(shop|tend)/' | sort -u)
}

ensure_image() {
	if has_image "$1"; then
		say "image $1 is here"
	elif ! pull_image "$1"; then
		build_image "$1"
	fi
}

# ensure_built IMAGE is for an image that is this project's own, and on no registry.
ensure_built() {
	if has_image "$1"; then
		say "image $1 is here"
	else
		build_image "$1"
	fi
}

# pull_image IMAGE. A registry that names the image within 15 seconds gets all
# the time it needs to send it; any other counts as out of reach.
pull_image() {
	local image=$1 output pid deadline=$((SECONDS + 15)) status=0
	output=$(mktemp)
	say "pulling $image"
	docker pull "$image" >"$output" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null && ! grep -q 'Pulling from' "$output"; do
		if ((SECONDS >= deadline)); then
			kill "$pid"
		fi
		sleep 0.1
	done
	wait "$pid" || status=$?
	if ((status != 0)); then
		say "no registry gave $image: $(tail -n 1 "$output")"
	fi
	rm -f "$output"
	return "$status"
}

# build_image IMAGE builds an equivalent from packages, under the same name, if
# deploy/images has one for this very name.
build_image() {
	local image=$1 folder
	folder=deploy/images/$(basename "${image%%:*}")
	if ! grep -qsF "image.title=\"$image\"" "$folder/Dockerfile"; then
		fail "$image can be pulled from nowhere, and deploy/images cannot build it: make a registry reachable, or load the image with docker load"
	fi
	if [[ -x $folder/build.sh ]]; then
		say "building $image"
		build_logged "$folder/build.sh" "$image"
		return
	fi
	if ! has_image "$base_image"; then
		build_base
	fi
	say "building $image from Debian packages"
	build_logged docker build --network host --force-rm \
		--build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
		--tag "$image" "$folder"
}

build_base() {
	if ! have mmdebstrap; then
		can_install || fail "to build images without a registry, mmdebstrap is needed: sudo apt-get install mmdebstrap debian-archive-keyring"
		install_packages mmdebstrap debian-archive-keyring
	fi
	say "building $base_image with mmdebstrap"
	build_logged deploy/images/base/build.sh "$base_image"
}

# build_logged COMMAND... keeps the command's many lines to itself unless it fails.
build_logged() {
	local log
	log=$(mktemp)
	if ! DOCKER_BUILDKIT=0 "$@" >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		fail "the build failed; the whole output is in $log"
	fi
	rm -f "$log"
}
