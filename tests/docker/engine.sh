#!/bin/bash
# A Docker engine of its own, from Debian's packages: own folder, sockets and cgroup parent. Runs inside sandbox.sh, whose end is
# the end of everything that is left. `engine.sh start|stop FOLDER`; the socket is FOLDER/docker.sock. FOLDER/daemon.json is the engine's
# configuration, if it is there.
set -eu

action=$1
folder=$2
mkdir -p "$folder"

wait_for() { # wait_for PID LOG WHAT COMMAND...
	local pid=$1 log=$2 what=$3
	shift 3
	for _ in $(seq 600); do
		"$@" > /dev/null 2>&1 && return
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.05
	done
	echo "$what has not come up:" >&2
	tail -20 "$log" >&2
	exit 1
}

engine_answers() { curl -sf --unix-socket "$folder/docker.sock" http://docker/_ping; }

case "$action" in
start)
	[ "${SPENDGATE_SANDBOX:-}" = 1 ] || { echo "engine.sh runs inside sandbox.sh" >&2; exit 64; }
	[ -e "$folder/daemon.json" ] || echo '{}' > "$folder/daemon.json"
	if [ ! -e "$folder/containerd.pid" ]; then
		printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
			"$folder/containerd" "$folder/containerd-state" "$folder/containerd.sock" > "$folder/containerd.toml"
		containerd --config "$folder/containerd.toml" > "$folder/containerd.log" 2>&1 &
		echo $! > "$folder/containerd.pid"
		wait_for $! "$folder/containerd.log" containerd test -S "$folder/containerd.sock"
	fi
	dockerd --config-file "$folder/daemon.json" --containerd "$folder/containerd.sock" --data-root "$folder/data" --exec-root "$folder/exec" \
		-H "unix://$folder/docker.sock" --pidfile "$folder/dockerd.pid" --exec-opt native.cgroupdriver=cgroupfs \
		--cgroup-parent "${SPENDGATE_CGROUP_PARENT:?}" > "$folder/dockerd.log" 2>&1 &
	wait_for $! "$folder/dockerd.log" dockerd engine_answers
	;;
stop) # the engine only; containerd and, with live-restore, the containers go on
	pid=$(cat "$folder/dockerd.pid")
	kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	;;
*)
	echo "usage: engine.sh start|stop FOLDER" >&2
	exit 64
	;;
esac
