#!/bin/sh
# Installs what is missing to build, test and run: Debian 12's packages. `install-dependencies.sh [build|demo|test|bench]`.
set -eu

build="gcc clang llvm make pkg-config libbpf-dev bpftool libelf-dev zlib1g-dev libssl-dev libjansson-dev libsqlite3-dev
	uthash-dev libseccomp-dev libyaml-dev libmicrohttpd-dev libcap-ng-dev libbrotli-dev libzstd-dev libnghttp2-dev node-llhttp ca-certificates"
demo="$build iproute2 util-linux openssl curl"
test="$demo libcmocka-dev libclang-rt-14-dev clang-format clang-tidy cppcheck python3 zstd tzdata
	qemu-system-x86 cpio python3-httpx python3-requests procps nghttp2-client docker.io containerd runc iptables busybox-static debootstrap openjdk-17-jdk-headless golang-go
	dpkg-dev debhelper lintian man-db docker-compose podman crun vagrant"
bench="$build haproxy sslsplit mitmproxy nginx-light wrk openssl procps python3"

case "${1:-build}" in
build) wanted=$build ;;
demo) wanted=$demo ;;
test) wanted=$test ;;
bench) wanted="$test $bench" ;;
*) echo "usage: $0 build|demo|test|bench" >&2; exit 64 ;;
esac

missing=""
for package in $wanted; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
# Node is needed for the agents of demo and tests; whoever has one in the path keeps it.
if [ "${1:-build}" != build ]; then
	command -v node >/dev/null || missing="$missing nodejs"
	command -v npm >/dev/null || missing="$missing npm"
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "these packages are missing; run as root, or install them:$missing" >&2
	exit 77
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing
