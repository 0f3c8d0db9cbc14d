#!/bin/bash
# Makes this host a Docker host with spendgate, and runs the suites there: provision.sh SOURCE. Debian 12, Ubuntu 22.04 and 24.04, Fedora.
# SPENDGATE_PROVISION=packages ends after the packages, =build after the programs.
set -eu

source=${1:?usage: provision.sh SOURCE}
. /etc/os-release

# Ubuntu's bpftool is in linux-tools of the running kernel, and it has no clang 14 everywhere.
packages_ubuntu() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends gcc clang llvm make pkg-config libbpf-dev linux-tools-common "linux-tools-$(uname -r)" libelf-dev zlib1g-dev \
		libssl-dev libjansson-dev libsqlite3-dev uthash-dev libseccomp-dev libcap-ng-dev libbrotli-dev libzstd-dev libyaml-dev libmicrohttpd-dev \
		libcurl4-openssl-dev libnghttp2-dev node-llhttp libcmocka-dev ca-certificates git docker.io containerd runc iptables busybox-static debootstrap \
		openjdk-17-jdk-headless golang-go nodejs npm curl openssl python3 python3-httpx python3-requests iproute2 procps docker-compose podman crun
}

# Fedora has no package with llhttp's C sources: Debian's is unpacked.
packages_fedora() {
	local work
	dnf install -y -q gcc clang llvm make pkgconf libbpf-devel bpftool elfutils-libelf-devel zlib-devel openssl-devel jansson-devel sqlite-devel uthash-devel \
		libseccomp-devel libcap-ng-devel brotli-devel libzstd-devel libyaml-devel libmicrohttpd-devel libcurl-devel libnghttp2-devel ca-certificates git moby-engine containerd runc iptables busybox \
		debootstrap dpkg java-17-openjdk-devel java-17-openjdk-jmods golang nodejs npm curl openssl python3 python3-httpx python3-requests iproute procps-ng \
		docker-compose podman crun libcmocka-devel
	work=$(mktemp -d)
	debootstrap --download-only --variant=minbase --include=node-llhttp bookworm "$work"
	dpkg-deb -x "$work"/var/cache/apt/archives/node-llhttp_*.deb /
	rm -rf "$work"
}

case "$ID" in
debian) "$source/tools/install-dependencies.sh" test ;;
ubuntu) packages_ubuntu ;;
fedora) packages_fedora ;;
*) echo "provision.sh knows Debian, Ubuntu and Fedora, not $ID" >&2; exit 64 ;;
esac
[ "${SPENDGATE_PROVISION:-}" != packages ] || exit 0

cd "$source"
make -s -j"$(nproc)" all
[ "${SPENDGATE_PROVISION:-}" != build ] || exit 0
make -s install PREFIX=/usr/local
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable --now docker.service spendgated.service
	/usr/local/bin/spendgate docker install --default
	systemctl reload docker.service
fi
make -s check-integration check-docker
