#!/bin/sh
# Fails when a process, mount, pin, cgroup or network namespace of ours is left. `check-leftovers.sh KNOWN`: what the file KNOWN names
# was there before and is not judged; `--list` only lists, as such a file.
set -u

list() { # list KIND: a line for each word of the standard input
	tr ' ' '\n' | sed -n "s/./$1: &/p"
}

found() {
	for process in /proc/[0-9]*; do
		program=$(readlink "$process/exe" 2>/dev/null) || continue
		case "$program" in
		*/spendgate | */spendgated | */spendgate-enforcer) echo "process: ${process#/proc/} $program" ;;
		esac
	done
	find /sys/fs/bpf -maxdepth 1 -name 'spendgate*' 2>/dev/null | list pin
	grep spendgate /proc/self/mountinfo | cut -d' ' -f5 | list mount
	cgroups=$(awk '{for(i=7;i<=NF;i++) if($i=="-" && $(i+1)=="cgroup2"){print $5; exit}}' /proc/self/mountinfo)
	[ -z "$cgroups" ] || find "$cgroups" -maxdepth 2 -type d -name 'spendgate*' 2>/dev/null | list cgroup
	ip netns list 2>/dev/null | grep -E '^(sg|spendgate)' | cut -d' ' -f1 | list namespace
}

if [ "${1:-}" = --list ]; then
	found
	exit
fi
left=$(found | grep -vxFf "${1:-/dev/null}")
[ -z "$left" ] && exit 0
echo "$left" | sed 's/^/left behind: /' >&2
exit 1
