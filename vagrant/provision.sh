#!/bin/bash
# Makes this host a Docker host with spendgate, and runs the suites there: provision.sh SOURCE. Debian 12, Ubuntu 22.04 and 24.04, Fedora.
# SPENDGATE_PROVISION=packages ends after the packages, =build after the programs.
set -eu

source=${1:?usage: provision.sh SOURCE}
. /etc/os-release

# What a release has not, or too old, comes from Debian 12: unpacked, below SPENDGATE_UNPACK where that is set. SPENDGATE_MIRROR: of Debian.
from_debian() { # from_debian PACKAGE...
	local work package
	work=$(mktemp -d)
	debootstrap --download-only --variant=minbase --include="$(IFS=,; echo "$*")" bookworm "$work" "${SPENDGATE_MIRROR:-https://deb.debian.org/debian}" > /dev/null
	for package in "$@"; do dpkg-deb -x "$work"/var/cache/apt/archives/"$package"_*.deb "${SPENDGATE_UNPACK:-/}"; done
	rm -rf "$work"
	ldconfig
}

# bpftool is in the tools of the kernel that runs. The C sources of llhttp are of one version everywhere, Debian 12's; so is libbpf on 22.04,
# whose own is 0.5. Its Node.js is 12, and the tests need 18: the snap, then.
packages_ubuntu() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends gcc clang llvm make pkg-config linux-tools-common "linux-tools-$(uname -r)" libelf-dev zlib1g-dev \
		libssl-dev libjansson-dev libsqlite3-dev uthash-dev libseccomp-dev libcap-ng-dev libbrotli-dev libzstd-dev libyaml-dev libmicrohttpd-dev \
		libnghttp2-dev libcmocka-dev ca-certificates git docker.io containerd runc iptables busybox-static debootstrap debian-archive-keyring dpkg \
		openjdk-17-jdk-headless golang-go curl openssl zstd python3 python3-httpx python3-requests iproute2 procps docker-compose podman crun
	if [ "$VERSION_ID" = 22.04 ]; then
		from_debian node-llhttp libbpf1 libbpf-dev
		snap install --classic --channel=20/stable node
	else
		from_debian node-llhttp
		apt-get install -y -qq --no-install-recommends libbpf-dev nodejs npm
	fi
}

packages_fedora() {
	dnf install -y -q gcc clang llvm make pkgconf-pkg-config libbpf-devel bpftool elfutils-libelf-devel zlib-devel openssl-devel jansson-devel sqlite-devel \
		uthash-devel libseccomp-devel libcap-ng-devel brotli-devel libzstd-devel libyaml-devel libmicrohttpd-devel libnghttp2-devel libcmocka-devel \
		ca-certificates git moby-engine containerd runc iptables busybox debootstrap dpkg java-21-openjdk-devel java-21-openjdk-jmods golang nodejs npm \
		curl openssl zstd python3 python3-httpx python3-requests iproute procps-ng docker-compose podman crun
	from_debian node-llhttp
}

case "$ID" in
debian) "$source/tools/install-dependencies.sh" test ;;
ubuntu) packages_ubuntu ;;
fedora) packages_fedora ;;
*) echo "provision.sh knows Debian, Ubuntu and Fedora, not $ID" >&2; exit 64 ;;
esac
[ "${SPENDGATE_PROVISION:-}" != packages ] || exit 0

# Warnings of another compiler than Debian 12's are no errors.
cd "$source"
make -s -j"$(nproc)" WERROR=0 all
[ "${SPENDGATE_PROVISION:-}" != build ] || exit 0
make -s WERROR=0 install PREFIX=/usr/local
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable --now docker.service spendgated.service
	/usr/local/bin/spendgate docker install --default
	systemctl reload docker.service
fi
make -s WERROR=0 check-integration check-docker
