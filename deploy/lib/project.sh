# What the project folder needs and git does not hold: secrets, .env, .tend.
# shellcheck shell=bash

# ensure_secrets FOLDER makes the missing ones of the shop's secrets, 256 random
# bits each, in hex.
ensure_secrets() {
	local folder=$1 name
	mkdir -p "$folder"
	# File secrets are bind mounts: the services, which run as another user, must
	# be able to read the files. The folder keeps everyone else on the host out.
	chmod 0700 "$folder"
	for name in postgres_password jwt_secret redis_password; do
		[[ ! -s $folder/$name ]] || continue
		say "making the secret $folder/$name"
		head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/.$name"
		chmod 0644 "$folder/.$name"
		mv "$folder/.$name" "$folder/$name"
	done
}

# ensure_env PROJECT-FOLDER writes what compose.yaml's tend service must know of
# this machine. tend runs as the folder's owner, but never as root.
ensure_env() {
	local project=$1 uid gid
	uid=$(stat -c %u "$project")
	gid=$(stat -c %g "$project")
	if [[ $uid == 0 ]]; then
		uid=65532 gid=65532
	fi
	set_env "$project/.env" TEND_PROJECT_DIRECTORY "$project"
	set_env "$project/.env" TEND_UID "$uid"
	set_env "$project/.env" TEND_GID "$gid"
	if [[ -S /var/run/docker.sock ]]; then
		set_env "$project/.env" DOCKER_GID "$(stat -Lc %g /var/run/docker.sock)"
	fi

	mkdir -p "$project/.tend"
	chmod 0700 "$project/.tend"
	if [[ $(stat -c %u:%g "$project/.tend") != "$uid:$gid" ]]; then
		chown -R "$uid:$gid" "$project/.tend"
	fi
}

# set_env FILE NAME VALUE leaves every other line of FILE as it is.
set_env() {
	local file=$1 name=$2 value=$3 rest=
	if grep -qsxF "$name=$value" "$file"; then
		return
	fi
	say "writing $name=$value to ${file##*/}"
	if [[ -f $file ]]; then
		rest=$(grep -v "^$name=" "$file" || true)
	fi
	printf '%s' "${rest:+$rest$'\n'}$name=$value"$'\n' >"$file.new"
	mv "$file.new" "$file"
}
