# Packages of the distribution.
# shellcheck shell=bash

# can_install reports whether this script may install packages here.
can_install() {
	[[ $(id -u) == 0 ]] && grep -qsE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release
}

# install_packages PACKAGE... installs without starting any service: what a
# package would start is started by whoever needs it.
install_packages() {
	say "installing $* from the distribution"
	local log=/var/log/tend-setup-apt.log
	if ! (
		export DEBIAN_FRONTEND=noninteractive
		# The package scripts ask this program before they start a service.
		policy=/usr/sbin/policy-rc.d
		if [[ ! -e $policy ]]; then
			trap 'rm -f "$policy"' EXIT
			printf '#!/bin/sh\nexit 101\n' >"$policy"
			chmod 0755 "$policy"
		fi
		apt-get update && apt-get install --yes "$@"
	) >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		fail "apt-get could not install $*; the whole output is in $log"
	fi
}

# ensure_test_programs installs the programs that the tests start for themselves,
# and keeps the distribution from running its servers.
ensure_test_programs() {
	local packages=() services=()
	if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
		packages+=(postgresql)
		services+=(postgresql)
	fi
	if ! have redis-server; then
		packages+=(redis-server)
		services+=(redis-server)
	fi
	if ! have rabbitmq-server; then
		packages+=(rabbitmq-server)
		services+=(rabbitmq-server)
	fi
	if ! have nginx; then
		packages+=(nginx-light)
		services+=(nginx)
	fi
	if ! have docker-registry; then
		packages+=(docker-registry)
		services+=(docker-registry)
	fi
	if ! have promtool; then
		packages+=(prometheus)
		services+=(prometheus prometheus-node-exporter)
	fi
	if ! have amtool; then
		packages+=(prometheus-alertmanager)
		services+=(prometheus-alertmanager)
	fi
	if ! have tmux; then
		packages+=(tmux)
	fi
	if [[ ! -x /usr/sbin/sshd ]]; then
		packages+=(openssh-server)
		services+=(ssh)
	fi
	# On Ubuntu the package of that name has no browser, but asks for a snap.
	if ! have chromium && ! have google-chrome; then
		packages+=(chromium)
	fi
	if ((${#packages[@]} == 0)); then
		say "Postgres, Redis, RabbitMQ, nginx, an image registry, Prometheus, Alertmanager, tmux, sshd and Chromium are installed, for the tests"
		return
	fi
	if ! can_install; then
		fail "the tests need the programs of Postgres 15, Redis 7, RabbitMQ 3, nginx, docker-registry, Prometheus, Alertmanager, tmux, sshd and Chromium; on Debian or Ubuntu: sudo apt-get install ${packages[*]}"
	fi
	install_packages "${packages[@]}"
	local service
	for service in "${services[@]}"; do
		update-rc.d "$service" disable >/dev/null 2>&1
	done
}
