#!/bin/sh
# Runs every fuzz target in a folder for some seconds from its committed seeds: fuzz-briefly.sh FOLDER SECONDS
set -eu
folder=$1
seconds=$2
count=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for target in "$folder"/fuzz_*; do
	[ -x "$target" ] && [ ! -d "$target" ] || continue
	case "$target" in *.d | *.o) continue ;; esac
	name=${target##*/fuzz_}
	seeds=tests/fuzz/corpus/$name
	[ -d "$seeds" ] || { echo "no seeds in $seeds" >&2; exit 1; }
	mkdir -p "$scratch/$name"
	echo "fuzz $name"
	if ! "$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
		-artifact_prefix="$scratch/$name-" "$scratch/$name" "$seeds" > "$scratch/$name.log" 2>&1; then
		tail -40 "$scratch/$name.log" >&2
		echo "fuzz $name: FAILED" >&2
		exit 1
	fi
	tail -1 "$scratch/$name.log"
	count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "no fuzz target in $folder" >&2; exit 1; }
echo "$count passed, 0 failed"
