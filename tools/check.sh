#!/usr/bin/env bash
# Checks every module given: race tests, known vulnerabilities. `make check` calls it
# and builds what it uses first.
# Usage: check.sh MODULE-FOLDER...
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$PWD/build/bin

step() {
	printf 'check: %s\n' "$*"
}

# The vulnerability database is out of reach on some machines. Only that, which
# govulncheck names itself, is no failure.
check_vulnerabilities() {
	local output status=0
	output=$("$bin/govulncheck" -C "$1" ./... 2>&1) || status=$?
	printf '%s\n' "$output"
	if ((status != 0)) && grep -q '^govulncheck: fetching vulnerabilities: ' <<<"$output"; then
		step "NOT CHECKED for known vulnerabilities in $1: the database cannot be reached"
		return 0
	fi
	return "$status"
}

for module in "$@"; do
	step "race tests, module $module"
	CGO_ENABLED=1 go -C "$module" test -race -count=1 -timeout 30m ./...
	step "vulnerabilities, module $module"
	check_vulnerabilities "$module"
done
