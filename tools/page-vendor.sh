#!/usr/bin/env bash
# Brings the libraries of the page into api/page/vendor, at the versions and with the
# hashes that are written here. It is run by hand, to take a newer version; building tend
# needs neither npm nor a network.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../api/page/vendor"

# fetch NAME VERSION SHA512 unpacks a package of npm into $tmp/NAME.
fetch() {
	curl -fsSL "https://registry.npmjs.org/$1/-/$1-$2.tgz" -o "$tmp/$1.tgz"
	echo "$3  $tmp/$1.tgz" | sha512sum --check --quiet
	mkdir "$tmp/$1"
	tar -xzf "$tmp/$1.tgz" -C "$tmp/$1" --strip-components 1
	printf '%s %s\n\n' "$1" "$2" >>LICENSES.txt
	cat "$tmp/$1/LICENSE" >>LICENSES.txt
	printf '\n\n' >>LICENSES.txt
}

# take FILE NAME copies a module, without its source map, and with the name by which a
# browser finds preact.
take() {
	sed -e '/^\/\/# sourceMappingURL=/d' -e 's/from"preact"/from".\/preact.mjs"/g' "$tmp/$1" >"$2"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rm -f ./*
fetch preact 11.2.0 \
	fc77c723fecdf387ba1ab581277276f34cf798b6912620dc4af8ff03ecbfe006cb9cd0ffd549461ded6c47aa18b931b021dd273fb76a0d4f4e9cbc4c3d9ef106
fetch htm 3.1.1 \
	f7cdd5ca0f0dc1413b26467a3663aaa4267eb21d5b2afda2613954933956980e490f669c2a8c5de0a5716cc9b15fff399ad7dd9c399316834a720e43180bf135
fetch uplot 1.6.32 \
	2883159c6ebccefbb95d751b0b82d010f9e1c0ec41b8bc96d401eda66e882935c89a46cb824332fa369b8cb8122cc6ac36e186cd09bf7a9ded3a4c93c6989023
take preact/dist/preact.mjs preact.mjs
take preact/hooks/dist/hooks.mjs hooks.mjs
take htm/dist/htm.mjs htm.mjs
take uplot/dist/uPlot.iife.min.js uplot.js
take uplot/dist/uPlot.min.css uplot.css
