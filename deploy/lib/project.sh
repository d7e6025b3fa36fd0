# What the project folder needs and git does not hold: secrets, .env, .tend.
# shellcheck shell=bash

# tend_user PROJECT-FOLDER prints the uid:gid that tend's container runs as: the
# folder's owner, but never root.
tend_user() {
	local user
	user=$(stat -c %u:%g "$1")
	if [[ $user == 0:* ]]; then
		user=65532:65532
	fi
	printf '%s' "$user"
}

# ensure_folder FOLDER USER makes a folder that only USER, and root, can enter.
# What is in it becomes USER's too: a tend that ran as root may have left files.
ensure_folder() {
	mkdir -p "$1"
	chmod 0700 "$1"
	chown -R "$2" "$1"
}

# ensure_secret PROJECT-FOLDER FILE makes a secret where it is missing: 256 random
# bits, in hex.
ensure_secret() {
	local folder=$1/${2%/*} name=${2##*/}
	[[ ! -s $folder/$name ]] || return 0
	say "making the secret $2"
	head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/.$name"
	# File secrets are bind mounts: the services, which run as other users, must
	# be able to read them. The folder keeps everyone else on the host out.
	chmod 0644 "$folder/.$name"
	mv "$folder/.$name" "$folder/$name"
}

# ensure_secrets PROJECT-FOLDER makes the missing ones of the shop's secrets. tend
# reads them, to see that one has changed.
ensure_secrets() {
	local name
	ensure_folder "$1/deploy/secrets" "$(tend_user "$1")"
	for name in postgres_password {user,product,order,payment,notification}_db_password redis_password event_bus_password monitor_password; do
		ensure_secret "$1" "deploy/secrets/$name"
	done
}

# ensure_env PROJECT-FOLDER writes what compose.yaml's tend service must know of
# this machine, and makes tend's data directory, with the token that the gateway
# mounts, also where docker compose starts it before tend.
ensure_env() {
	local project=$1 user
	user=$(tend_user "$project")
	set_env "$project/.env" TEND_PROJECT_DIRECTORY "$project"
	set_env "$project/.env" TEND_UID "${user%:*}"
	set_env "$project/.env" TEND_GID "${user#*:}"
	if [[ -S /var/run/docker.sock ]]; then
		set_env "$project/.env" DOCKER_GID "$(stat -Lc %g /var/run/docker.sock)"
	fi
	mkdir -p "$project/.tend/tokens"
	ensure_secret "$project" .tend/tokens/read
	ensure_folder "$project/.tend/tokens" "$user"
	ensure_folder "$project/.tend" "$user"
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

# ensure_certificates PROJECT-FOLDER makes what TLS at the gateway needs in development: an
# authority of this folder's own, and a certificate of it for this machine.
ensure_certificates() {
	local folder=$1/deploy/secrets
	[[ ! -s $folder/gateway_tls_certificate ]] || return 0
	say "making an authority, deploy/secrets/ca.crt, and the gateway's certificate"
	ensure_folder "$folder" "$(tend_user "$1")"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=shop development CA" \
		-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign \
		-keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 397 -subj "/CN=localhost" \
		-CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
		-addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
		-addext "subjectAltName=DNS:localhost,DNS:gateway,IP:127.0.0.1,IP:::1" \
		-keyout "$folder/gateway_tls_key" -out "$folder/.gateway_tls_certificate" 2>/dev/null
	chmod 0600 "$folder/ca.key"
	chmod 0644 "$folder/gateway_tls_key" "$folder/.gateway_tls_certificate"
	mv "$folder/.gateway_tls_certificate" "$folder/gateway_tls_certificate"
}
