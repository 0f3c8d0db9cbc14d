#!/bin/bash
# Builds the root file systems that the containers of the suite run on, once, as tar files outside of the source tree; prints their
# folder. `agents`: Debian with Python (requests, httpx, aiohttp), Node, curl, and a Java runtime below /opt with its certificates as JKS (cacerts)
# and as PKCS#12 (/opt/pkcs12). `go`: one static Go program, no shell, not root. `busybox`: one static program and no certificates.
set -eu
cd "$(dirname "$0")"

version=2 # a new one builds anew
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
if [ ! -e "$folder/go.tar" ] || ! cmp -s agents/call.go "$folder/call.go"; then
	mkdir -p "$work/go/etc/ssl/certs" "$work/go/tmp"
	CGO_ENABLED=0 GOCACHE="$work/go-cache" GO111MODULE=off go build -o "$work/go/call" agents/call.go
	cp /etc/ssl/certs/ca-certificates.crt "$work/go/etc/ssl/certs/"
	tar -C "$work/go" -cf "$work/go.tar" .
	mv "$work/go.tar" "$folder/go.tar"
	cp agents/call.go "$folder/call.go"
fi

# The same roots in both formats that Java has had for them; some are enough.
java_stores() {
	local number=0
	rm -f "$work/agents/opt/java/lib/security/cacerts"
	mkdir -p "$work/agents/opt/pkcs12/lib/security"
	for certificate in "$work"/agents/usr/share/ca-certificates/mozilla/ISRG*.crt "$work"/agents/usr/share/ca-certificates/mozilla/D*.crt; do
		number=$((number + 1))
		keytool -importcert -noprompt -trustcacerts -storetype JKS -storepass changeit -alias "root$number" -file "$certificate" -keystore "$work/agents/opt/java/lib/security/cacerts" 2> "$work/keytool.log"
	done
	keytool -importkeystore -noprompt -srcstoretype JKS -srcstorepass changeit -srckeystore "$work/agents/opt/java/lib/security/cacerts" -deststoretype PKCS12 -deststorepass changeit -destkeystore "$work/agents/opt/pkcs12/lib/security/cacerts" 2> "$work/keytool.log"
}

if [ ! -e "$folder/agents.tar" ]; then
	# The mirror that this machine's apt uses for the same release.
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)/$(COMPONENT)' 'Created-By: Packages' | awk '/ bookworm\/main$|\(?stable\/main$/{print $1; exit}')
	debootstrap --variant=minbase --include=ca-certificates,curl,python3-minimal,python3-requests,python3-httpx,python3-aiohttp,nodejs \
		bookworm "$work/agents" "${mirror:-http://deb.debian.org/debian}" > "$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; exit 1; }
	rm -rf "$work/agents/var/cache/apt" "$work/agents/var/lib/apt/lists" "$work/agents/usr/share/doc" "$work/agents/usr/share/locale" "$work/agents/usr/share/man"
	jlink --add-modules java.base,java.net.http,jdk.crypto.ec --strip-debug --no-man-pages --no-header-files --output "$work/agents/opt/java"
	javac -d "$work/agents/opt/agents" agents/Call.java
	java_stores
	tar -C "$work/agents" --exclude ./dev -cf "$work/agents.tar" .
	mv "$work/agents.tar" "$folder/agents.tar"
fi
echo "$folder"
