# The container engine.
# shellcheck shell=bash

engine_answers() {
	docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# ensure_engine leaves an engine that answers where the docker command looks for
# it: DOCKER_HOST, the current context, or the default socket.
ensure_engine() {
	if have docker && engine_answers; then
		say "using the running engine, $(docker version --format '{{.Server.Version}}')"
		return
	fi
	if [[ -n ${DOCKER_HOST:-} ]]; then
		fail "the engine at DOCKER_HOST=$DOCKER_HOST does not answer: start it, or unset DOCKER_HOST"
	fi
	if [[ -S /var/run/docker.sock && ! -w /var/run/docker.sock ]]; then
		fail "/var/run/docker.sock is not yours to use: run this as root, or add yourself to its group: sudo usermod -aG docker $(id -un), then log in again"
	fi
	if ! can_install; then
		fail "no container engine answers. Install and start Docker Engine 20.10 or newer (https://docs.docker.com/engine/install/); on Debian or Ubuntu this does it: sudo apt-get install docker.io"
	fi
	if ! have dockerd || ! have docker; then
		install_engine
	fi
	start_engine
}

install_engine() {
	local packages=(docker.io)
	# Newer releases keep the docker command in a package of its own.
	if [[ -n $(apt-cache search --names-only '^docker-cli$') ]]; then
		packages+=(docker-cli)
	fi
	install_packages "${packages[@]}"
}

start_engine() {
	if [[ -d /run/systemd/system ]]; then
		say "starting the engine with systemd"
		systemctl start docker || fail "the engine does not start; see: journalctl -u docker"
		await_engine "journalctl -u docker"
	else
		start_engine_detached /var/log/dockerd.log /var/run/docker.pid
	fi
}

# start_engine_detached LOG PIDFILE [DOCKERD-OPTION...] starts a dockerd that
# outlives this script.
start_engine_detached() {
	local log=$1 pidfile=$2
	shift 2
	remove_stale_pidfile "$pidfile"
	say "starting the engine, without systemd; its log: $log"
	setsid dockerd --pidfile "$pidfile" "$@" >>"$log" 2>&1 </dev/null &
	await_engine "$log" $!
}

# remove_stale_pidfile PIDFILE. dockerd refuses to start while the process that
# PIDFILE names exists, be it another program by now or a zombie, which has no exe.
remove_stale_pidfile() {
	local pidfile=$1 pid
	[[ -e $pidfile ]] || return 0
	pid=$(<"$pidfile")
	if [[ $(readlink "/proc/$pid/exe") != */dockerd* ]]; then
		say "removing $pidfile: no dockerd runs as process $pid"
		rm -f "$pidfile"
	fi
}

# await_engine LOG [PID] waits until the engine answers, for at most a minute and
# only while process PID runs.
await_engine() {
	local log=$1 pid=${2:-} deadline=$((SECONDS + 60))
	until engine_answers; do
		if [[ -n $pid ]] && ! kill -0 "$pid" 2>/dev/null; then
			tail -n 5 "$log" >&2
			fail "the engine ended as it started; its log: $log"
		fi
		if ((SECONDS >= deadline)); then
			fail "the engine does not answer after 60 seconds; its log: $log"
		fi
		sleep 0.2
	done
	say "the engine answers, $(docker version --format '{{.Server.Version}}')"
}
