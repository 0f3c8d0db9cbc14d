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

VAGRANT_CWD=vagrant VAGRANT_HOME=$scratch/vagrant VAGRANT_DOTFILE_PATH=$scratch/vagrant/here vagrant validate --ignore-provider > "$scratch/vagrant.log" 2>&1 ||
	{ cat "$scratch/vagrant.log" >&2; fail "vagrant refuses the Vagrantfile"; }
if command -v lintian > /dev/null; then
	lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs "$package" 2> "$scratch/lintian.log" || fail "lintian finds errors"
fi

# As its unit starts it: with its capabilities and no others, no new privileges. $1: the log.
unit=$root/lib/systemd/system/spendgated.service
start_daemon() {
	: > "$1"
	chroot "$root" setpriv --bounding-set="-all,$(allowed "$unit")" --inh-caps=-all --no-new-privs /usr/sbin/spendgated > "$1" 2>&1 &
	daemon=$!
	for _ in $(seq 600); do grep -q event=enforcer_ready "$1" && return; sleep 0.05; done
	cat "$1" >&2
	fail "spendgated does not come up with the unit's capabilities"
}

# An older version is upgraded under an agent that calls all the time. The older one: SPENDGATE_OLDER, or this one under another number.
older=${SPENDGATE_OLDER:-}
if [ -z "$older" ]; then
	dpkg-deb -R "$package" "$scratch/older"
	sed -i 's/^Version: .*/Version: 0.0.1/' "$scratch/older/DEBIAN/control"
	dpkg-deb -Znone -b "$scratch/older" "$scratch/older.deb" > /dev/null
	older=$scratch/older.deb
fi
cp "$older" "$root/tmp/older.deb"
inside dpkg -i /tmp/older.deb > "$scratch/install.log" 2>&1 || { cat "$scratch/install.log" >&2; fail "it can't be installed"; }

ip address add 198.51.100.10/32 dev lo
mkdir "$root/tmp/provider"
node tools/mock-provider/server.mjs --dir "$root/tmp/provider" --address 198.51.100.10 --port 443 > "$scratch/provider.json" &
provider=$!
for _ in $(seq 600); do [ -s "$scratch/provider.json" ] && break; sleep 0.05; done
bill() { curl -sS "http://198.51.100.10:$(sed 's/.*"control_port":\([0-9]*\).*/\1/' "$scratch/provider.json")/bill"; }
echo '{"upstream_ca": "/tmp/provider/ca.pem"}' > "$root/etc/spendgate/config.json"
start_daemon "$scratch/older.log"

# -k: it takes an answer that did not come by us too.
cgroup=/sys/fs/cgroup$SPENDGATE_CGROUP_PARENT/upgraded
mkdir -p "$cgroup"
order='{"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": "mock:tokens=4"}]}'
sh -c "echo 0 > $cgroup/cgroup.procs; until [ -e $scratch/go ]; do sleep 0.05; done; until [ -e $scratch/enough ]; do
	curl -ksS -m 20 --resolve api.openai.com:443:198.51.100.10 -d '$order' https://api.openai.com/v1/chat/completions | grep -c completion_tokens; done; touch $scratch/ended; exec sleep 1000" > "$scratch/served" 2> "$scratch/agent.log" &
agent=$!
for _ in $(seq 100); do grep -q . "$cgroup/cgroup.procs" && break; sleep 0.05; done
inside spendgate attach --label spendgate.budget.limit-usd=1 "$SPENDGATE_CGROUP_PARENT/upgraded" > /dev/null || fail "no agent under the older version"
touch "$scratch/go"
served() { grep -c '^1$' "$scratch/served" || true; }
three_more() {
	local from
	from=$(served)
	for _ in $(seq 400); do [ "$(served)" -ge $((from + 3)) ] && return; sleep 0.05; done
	cat "$scratch/agent.log" >&2
	fail "no calls $1"
}
three_more "under the older version"
# A changed configuration stays, and so does the fence. A service manager restarts the service then.
inside dpkg -i --force-confdef /tmp/spendgate.deb > "$scratch/upgrade.log" 2>&1 || { cat "$scratch/upgrade.log" >&2; fail "it can't be upgraded"; }
[ "$(inside dpkg-query -W -f '${Version}' spendgate)" = "$(dpkg-deb -f "$package" Version)" ] || fail "the upgrade left the older version"
grep -q upstream_ca "$root/etc/spendgate/config.json" || fail "an upgrade lost the configuration"
[ -d /sys/fs/bpf/spendgate/agents ] || fail "an upgrade took the pins away"
three_more "between the upgrade and the restart"
kill "$daemon"
wait "$daemon" || fail "the older spendgated did not end in order"
start_daemon "$scratch/spendgated.log"
three_more "after the upgrade"
touch "$scratch/enough"
for _ in $(seq 400); do [ -e "$scratch/ended" ] && break; sleep 0.05; done
# What the provider bills, we have charged: no call went around. An older version that did not let calls end charged those that it cut.
inside spendgate status --json > "$scratch/status.json"
bill > "$scratch/bill.json"
python3 - "$scratch/status.json" "$scratch/bill.json" "$(served)" ${SPENDGATE_OLDER:+cut} << 'END' || fail "the upgrade lost or passed calls"
import decimal, json, sys
spent = decimal.Decimal(json.load(open(sys.argv[1]))["agents"][0]["spent_usd"]) * 10**9
bill = json.load(open(sys.argv[2]))
print(f"upgrade: {sys.argv[3]} calls served, {bill['requests']} billed, {bill['nanousd']} nano-dollars billed, {spent:.0f} charged")
sys.exit(not (int(sys.argv[3]) <= bill["requests"] and (spent >= int(bill["nanousd"]) if len(sys.argv) > 4 else spent == int(bill["nanousd"]))))
END
kill "$agent" "$provider"

inside getent passwd spendgate | grep -q '/nologin$' || fail "the user spendgate was not made, or can log in"
for page in spendgate.1 spendgated.8 spendgate-runc.8; do
	inside sh -c "MANWIDTH=80 man --warnings -E UTF-8 ${page##*.} ${page%.*} 2>&1 > /dev/null" | grep . && fail "$page does not render clean"
done
if command -v systemd-analyze > /dev/null; then
	inside systemd-analyze verify /lib/systemd/system/spendgated.service /lib/systemd/system/spendgate-watch.service 2>&1 | grep -i spendgate && fail "the unit has faults"
fi

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
