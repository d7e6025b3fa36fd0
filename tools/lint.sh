#!/usr/bin/env bash
# Checks format, vet and lint of every module given. `make lint` calls it and builds
# the linter first.
# Usage: lint.sh MODULE-FOLDER...
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$PWD/build/bin

step() {
	printf 'lint: %s\n' "$*"
}

step "gofmt"
unformatted=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0r gofmt -l)
if [[ -n $unformatted ]]; then
	printf 'not formatted; run gofmt -w on:\n%s\n' "$unformatted" >&2
	exit 1
fi

for module in "$@"; do
	step "vet, module $module"
	go -C "$module" vet ./...
	if [[ $module == . ]]; then
		for os in darwin windows; do
			step "vet of the commands for $os"
			GOOS=$os go vet ./cmd/...
		done
	fi
	step "lint, module $module"
	(cd "$module" && "$bin/golangci-lint" run)
done
