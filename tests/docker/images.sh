#!/bin/bash
# Builds the root file systems that the containers of the suite run on, once, as tar files outside of the source tree; prints their
# folder. `agents`: Debian with Python (requests, httpx, aiohttp), Node and curl. `busybox`: one static program and no certificates.
set -eu
cd "$(dirname "$0")"

version=1 # a new one builds anew
folder=${SPENDGATE_IMAGES:-/var/cache/spendgate-tests}/images-$version
mkdir -p "$folder"
exec 8> "$folder/lock"
flock 8 # two runs build once
work=$(mktemp -d "$folder/build-XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ ! -e "$folder/busybox.tar" ]; then
	mkdir -p "$work/busybox/bin" "$work/busybox/etc" "$work/busybox/tmp"
	cp "$(command -v busybox)" "$work/busybox/bin/busybox"
	for name in sh cat echo ls wget nc sleep true false id mkdir grep; do ln -s busybox "$work/busybox/bin/$name"; done
	tar -C "$work/busybox" -cf "$work/busybox.tar" .
	mv "$work/busybox.tar" "$folder/busybox.tar"
fi
if [ ! -e "$folder/agents.tar" ]; then
	# The mirror that this machine's apt uses for the same release.
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)/$(COMPONENT)' 'Created-By: Packages' | awk '/ bookworm\/main$|\(?stable\/main$/{print $1; exit}')
	debootstrap --variant=minbase --include=ca-certificates,curl,python3-minimal,python3-requests,python3-httpx,python3-aiohttp,nodejs \
		bookworm "$work/agents" "${mirror:-http://deb.debian.org/debian}" > "$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; exit 1; }
	rm -rf "$work/agents/var/cache/apt" "$work/agents/var/lib/apt/lists" "$work/agents/usr/share/doc" "$work/agents/usr/share/locale" "$work/agents/usr/share/man"
	tar -C "$work/agents" --exclude ./dev -cf "$work/agents.tar" .
	mv "$work/agents.tar" "$folder/agents.tar"
fi
echo "$folder"
