#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The BPF programs and the integration tests of the redirection on Debian's own kernels, each in a machine without network
# (qemu, no KVM). `run.sh FOLDER`: the folder with the built tests. A kernel that can't be had or booted is a failure.
set -eu
tests=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
cache=${SPENDGATE_KERNEL_CACHE:-/var/cache/spendgate-kernels}
patience=300 # seconds until a machine that hangs is stopped
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

newest() { # newest SERIES: the newest cloud kernel of it that the package sources know
	apt-cache search --names-only "^linux-image-$1\..*-cloud-amd64\$" | cut -d' ' -f1 | sort -V | tail -n 1
}

fetch() { # fetch PACKAGE: unpacks its kernel into the cache, once
	[ -s "$cache/$1/vmlinuz" ] && return
	mkdir -p "$cache/$1" "$work/$1"
	(cd "$work/$1" && apt-get download -qq -o APT::Sandbox::User=root "$1" && dpkg -x ./*.deb unpacked)
	cp "$work/$1"/unpacked/boot/vmlinuz-* "$cache/$1/vmlinuz.new"
	mv "$cache/$1/vmlinuz.new" "$cache/$1/vmlinuz"
}

build_root() {
	local root=$work/root program library
	mkdir -p "$root"/{bin,tests,proc,sys,dev,tmp,run}
	cp /bin/busybox "$root/bin/"
	install -m 755 "$here/init" "$root/init"
	for program in test_redirect test_versions test_refusals test_identity test_kinds test_cut; do
		cp "$tests/$program" "$root/tests/"
		for library in $(ldd "$tests/$program" | grep -o '/[^ ]*\.so[^ ]*'); do
			mkdir -p "$root$(dirname "$library")"
			cp -L "$library" "$root$library"
		done
	done
	(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"
}

failed=0
build_root
for series in 6.1 6.12; do
	package=$(newest "$series")
	if [ -z "$package" ] || ! fetch "$package"; then
		echo "no kernel $series: apt-get update, and look for linux-image-$series.*-cloud-amd64" >&2
		failed=1
		continue
	fi
	timeout "$patience" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 1024 -nographic -net none -no-reboot \
		-kernel "$cache/$package/vmlinuz" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1" \
		</dev/null 2>&1 | tr -d '\r' >"$work/log" || true
	if grep -q '^every test passed on this kernel$' "$work/log"; then
		echo "$package: $(grep -c '^\[       OK \]' "$work/log") tests passed"
	else
		cat "$work/log"
		echo "$package: FAILED" >&2
		failed=1
	fi
done
exit $failed
