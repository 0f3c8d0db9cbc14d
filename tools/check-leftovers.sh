#!/bin/sh
# Fails when a process, mount, pin, cgroup or network namespace of ours is left.
set -u
left=0

report() {
	[ -n "$2" ] || return 0
	echo "left behind: $1: $2" >&2
	left=1
}

for process in /proc/[0-9]*; do
	program=$(readlink "$process/exe" 2>/dev/null) || continue
	case "$program" in
	*/spendgate | */spendgated | */spendgate-enforcer) report process "${process#/proc/} $program" ;;
	esac
done
report pin "$(find /sys/fs/bpf -maxdepth 1 -name 'spendgate*' 2>/dev/null | tr '\n' ' ')"
report mount "$(grep spendgate /proc/self/mountinfo | cut -d' ' -f5 | tr '\n' ' ')"
cgroups=$(awk '{for(i=7;i<=NF;i++) if($i=="-" && $(i+1)=="cgroup2"){print $5; exit}}' /proc/self/mountinfo)
[ -z "$cgroups" ] || report cgroup "$(find "$cgroups" -maxdepth 2 -type d -name 'spendgate*' 2>/dev/null | tr '\n' ' ')"
report namespace "$(ip netns list 2>/dev/null | grep -E '^(sg|spendgate)' | tr '\n' ' ')"
exit $left
