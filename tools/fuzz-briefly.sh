#!/bin/sh
# Runs every fuzz target in a folder for some seconds from its committed seeds, as many at once as there are processors:
# fuzz-briefly.sh FOLDER SECONDS. With NAME as the third argument: that one.
set -eu
folder=$1
seconds=$2

if [ $# -eq 3 ]; then
	name=$3
	seeds=tests/fuzz/corpus/$name
	[ -d "$seeds" ] || { echo "no seeds in $seeds" >&2; exit 1; }
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	mkdir "$scratch/corpus"
	if ! "$folder/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
		-artifact_prefix="$scratch/" "$scratch/corpus" "$seeds" > "$scratch/log" 2>&1; then
		tail -40 "$scratch/log" >&2
		echo "fuzz $name: FAILED" >&2
		exit 1
	fi
	echo "fuzz $name: $(tail -1 "$scratch/log")"
	exit
fi

names=
count=0
for target in "$folder"/fuzz_*; do
	[ -x "$target" ] && [ ! -d "$target" ] || continue
	case "$target" in *.d | *.o) continue ;; esac
	names="$names ${target##*/fuzz_}"
	count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "no fuzz target in $folder" >&2; exit 1; }
# shellcheck disable=SC2086
printf '%s\n' $names | xargs -n 1 -P "$(nproc)" "$0" "$folder" "$seconds"
echo "$count passed, 0 failed"
