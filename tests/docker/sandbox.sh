#!/bin/bash
# `sandbox.sh COMMAND...`: runs it where a Docker engine can run on any host, and leaves nothing: own network (nothing but loopback), own
# mounts with a plain cgroup v2 at /sys/fs/cgroup and no pins, own processes, which end with it. SPENDGATE_CGROUP_PARENT names the parent of all
# containers, SPENDGATE_SCRATCH a folder that is removed at the end.
set -eu

if [ "${SPENDGATE_SANDBOX:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "a Docker engine needs root" >&2; exit 77; }
	export SPENDGATE_CGROUP_PARENT=/spendgate-docker-$$
	cgroups=$(awk '{for(i=7;i<=NF;i++) if($i=="-" && $(i+1)=="cgroup2"){print $5; exit}}' /proc/self/mountinfo)
	SPENDGATE_SCRATCH=$(mktemp -d /tmp/spendgate-docker-XXXXXX)
	chmod 755 "$SPENDGATE_SCRATCH"
	export SPENDGATE_SCRATCH
	status=0
	SPENDGATE_SANDBOX=1 unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private "$(realpath "$0")" "$@" || status=$?
	# Its processes are gone; its groups are empty.
	[ -z "$cgroups" ] || find "$cgroups$SPENDGATE_CGROUP_PARENT" -depth -type d -exec rmdir {} + 2>/dev/null || true
	rm -rf "$SPENDGATE_SCRATCH"
	exit $status
fi

ip link set lo up
umount --recursive /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf none /sys/fs/bpf # pins are named after processes, whose numbers are others' too
mount -t tmpfs none /run # xtables.lock, and whatever the host's own engine keeps there
exec "$@"
