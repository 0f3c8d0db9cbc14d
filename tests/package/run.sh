#!/bin/bash
# Installs the Debian package over this system, in an overlay that is thrown away, uses it as its unit would, removes and purges it.
set -eu
cd "$(dirname "$0")/../.."

if [ "${SPENDGATE_SANDBOX:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "the package was NOT tested: it needs root" >&2; exit 1; }
	[ -n "${SPENDGATE_BUILT:-}" ] || tools/build-deb.sh
	tests/docker/sandbox.sh "$PWD/tests/package/run.sh"
	exit
fi

fail() { echo "package: $*" >&2; exit 1; }

# What a build needs is written in two places.
for need in $(sed -n '/^build="/,/"$/p' tools/install-dependencies.sh | tr -d '"\n' | sed 's/^build=//' | tr ' \t' '\n\n' | grep -- '-dev$'); do
	grep -q "\b$need\b" debian/control || fail "debian/control: Build-Depends lacks $need"
done

package=$(ls "$PWD"/build/deb/spendgate_*.deb)
scratch=$SPENDGATE_SCRATCH
root=$scratch/root
mkdir "$scratch/layers" "$root"
mount -t tmpfs none "$scratch/layers"
mkdir "$scratch/layers/upper" "$scratch/layers/work"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/layers/upper,workdir=$scratch/layers/work" none "$root"
for folder in dev proc sys run; do mount --rbind "/$folder" "$root/$folder"; done
cp "$package" "$root/tmp/spendgate.deb"
inside() { chroot "$root" "$@"; }

# The capabilities of a unit, for setpriv.
allowed() { sed -n 's/^CapabilityBoundingSet=//p' "$1" | tr 'A-Z ' 'a-z,' | sed 's/cap_//g; s/\([^,]*\)/+\1/g'; }

# What is there that carries the name.
leftovers() { (cd "$scratch/layers/upper" && find . -name '*spendgate*' ! -path './tmp/*' ! -path './var/lib/dpkg/*' ! -path './var/log/*' ! -path './var/cache/man/*' ! -type c); }

if command -v lintian > /dev/null; then
	lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs "$package" 2> "$scratch/lintian.log" || fail "lintian finds errors"
fi

inside dpkg -i /tmp/spendgate.deb > "$scratch/install.log" 2>&1 || { cat "$scratch/install.log" >&2; fail "it can't be installed"; }
inside getent passwd spendgate | grep -q '/nologin$' || fail "the user spendgate was not made, or can log in"
for page in spendgate.1 spendgated.8 spendgate-runc.8; do
	inside sh -c "MANWIDTH=80 man --warnings -E UTF-8 ${page##*.} ${page%.*} 2>&1 > /dev/null" | grep . && fail "$page does not render clean"
done
unit=$root/lib/systemd/system/spendgated.service
if command -v systemd-analyze > /dev/null; then
	inside systemd-analyze verify /lib/systemd/system/spendgated.service /lib/systemd/system/spendgate-watch.service 2>&1 | grep -i spendgate && fail "the unit has faults"
fi

# As the unit starts it: with its capabilities and no others, no new privileges, its directories.
chroot "$root" setpriv --bounding-set="-all,$(allowed "$unit")" --inh-caps=-all --no-new-privs /usr/sbin/spendgated > "$scratch/spendgated.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do grep -q event=enforcer_ready "$scratch/spendgated.log" && break; sleep 0.05; done
grep -q event=enforcer_ready "$scratch/spendgated.log" || { cat "$scratch/spendgated.log" >&2; fail "spendgated does not come up with the unit's capabilities"; }
inside spendgate status > /dev/null || fail "spendgated does not answer"
inside spendgate run --max-requests 1 -- /bin/true || { cat "$scratch/spendgated.log" >&2; fail "no agent can run"; }
enforcer=$(ps -o pid= --ppid "$daemon" | tr -d ' ')
[ "$(awk '/^Uid:/{print $2}' "/proc/$enforcer/status")" = "$(inside id -u spendgate)" ] || fail "the enforcer does not run as its user"
# The one that attaches, with its capabilities.
cgroup=/sys/fs/cgroup$SPENDGATE_CGROUP_PARENT/attached
mkdir -p "$cgroup"
unshare --mount --net sh -c "echo 0 > $cgroup/cgroup.procs && ip link set lo up && exec sleep 100" &
sleeper=$!
for _ in $(seq 100); do grep -q "^$sleeper$" "$cgroup/cgroup.procs" && break; sleep 0.05; done
chroot "$root" setpriv --bounding-set="-all,$(allowed "$root/lib/systemd/system/spendgate-watch.service")" --no-new-privs spendgate attach --label spendgate.budget.max-requests=1 "$SPENDGATE_CGROUP_PARENT/attached" |
	grep -q 'agent attached' || fail "the watch's capabilities are too few to attach"
kill "$sleeper"
inside spendgate docker install --default > /dev/null
grep -q spendgate-runc "$root/etc/docker/daemon.json" || fail "spendgate-runc was not put into the engine's configuration"

# A changed configuration stays at an upgrade.
echo '{"log_level": "warn"}' > "$root/etc/spendgate/config.json"
inside dpkg -i --force-confdef /tmp/spendgate.deb > "$scratch/upgrade.log" 2>&1 || { cat "$scratch/upgrade.log" >&2; fail "it can't be upgraded"; }
grep -q warn "$root/etc/spendgate/config.json" || fail "an upgrade lost the configuration"
[ -d /sys/fs/bpf/spendgate ] || fail "an upgrade took the pins away"

kill "$daemon"
wait "$daemon" || fail "spendgated did not end in order"
inside dpkg -r spendgate > "$scratch/remove.log" 2>&1 || { cat "$scratch/remove.log" >&2; fail "it can't be removed"; }
! grep -q spendgate "$root/etc/docker/daemon.json" || fail "a removed package is still the engine's runtime"
[ ! -e /sys/fs/bpf/spendgate ] || fail "pins are left: $(ls /sys/fs/bpf/spendgate)"
[ -e "$root/etc/spendgate/config.json" ] && [ -e "$root/var/lib/spendgate/ledger" ] || fail "a removal, that is no purge, lost configuration or ledger"
inside dpkg --purge spendgate > "$scratch/purge.log" 2>&1 || { cat "$scratch/purge.log" >&2; fail "it can't be purged"; }
left=$(leftovers)
[ -z "$left" ] || fail "the purge left: $left"
[ ! -e /run/spendgate ] || fail "the purge left /run/spendgate"
echo "1 passed, 0 failed"
