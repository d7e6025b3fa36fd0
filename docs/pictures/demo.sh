#!/bin/sh
# Records `make demo` below `tend watch`, in one terminal: docs/demo.cast, and of that
# docs/pictures/demo.svg, at four times its speed. It needs tmux, asciinema, jq and npx.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# The demo says in which folder its shop is.
cat > "$scratch/watch" <<'WATCH'
until folder=$(ls -d "$TMPDIR"/tend-demo-*/.tend 2> /dev/null) &&
	build/bin/tend watch --project-directory "${folder%/.tend}" 2> /dev/null; do sleep 0.2; done
WATCH

TMPDIR=$scratch asciinema rec --overwrite --quiet --cols 110 --rows 42 --idle-time-limit 2 --title 'tend: make demo' --command "
	tmux -L tend-demo -f /dev/null new-session 'make demo; sleep 5; tmux -L tend-demo kill-server' \; \
		set -g status off \; split-window -v -b -l 26 'sh $scratch/watch'" "$scratch/whole.cast"

# frames SECONDS SPEED < CAST puts what was printed within so many seconds into one frame.
frames() {
	jq --compact-output --slurp '.[0], (.[1:] | group_by(.[0] / '"$1"' | floor)[] | [.[0][0] / '"$2"', "o", (map(.[2]) | join(""))])'
}
frames 0.5 1 < "$scratch/whole.cast" > docs/demo.cast
frames 2 4 < "$scratch/whole.cast" > "$scratch/short.cast"
npx --yes svg-term-cli@2.1.1 --in "$scratch/short.cast" --out docs/pictures/demo.svg --window --no-cursor
