#!/bin/bash
# Runs the Docker suite: a real engine, real containers, the mock provider on the engine's own network. Nothing leaves the sandbox. Its files
# are dealt out to as many sandboxes, each with its engine, as there are processors (SPENDGATE_ENGINES: as many as it says).
set -eu
cd "$(dirname "$0")"

if [ "${SPENDGATE_SANDBOX:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "the Docker tests did NOT run: they need root" >&2; exit 1; }
	[ -x "../../${SPENDGATE_BUILD:-build/gcc}/spendgate-runc" ] || { echo "the Docker tests did NOT run: no programs: make" >&2; exit 1; }
	[ -d ../e2e/node_modules/openai ] || (cd ../e2e && npm ci --silent)
	SPENDGATE_IMAGES=$(./images.sh)
	export SPENDGATE_IMAGES
	engines=${SPENDGATE_ENGINES:-$(nproc)}
	# shellcheck disable=SC2012,SC2086
	ls -S ${SPENDGATE_FILES:-./*.test.mjs} | awk -v n="$engines" '{ all[NR % n] = all[NR % n] " " $0 } END { for (i in all) print all[i] }' |
		xargs -d '\n' -n 1 -P "$engines" sh -c 'SPENDGATE_FILES=$1 exec ../../tools/run-whole ./sandbox.sh "$PWD/run.sh"' sh
	exit
fi

export TMPDIR=$SPENDGATE_SCRATCH
status=0
# shellcheck disable=SC2086
timeout --foreground 600 node --test ${SPENDGATE_ONLY:+--test-name-pattern="$SPENDGATE_ONLY"} --test-concurrency=1 --test-reporter=spec ${SPENDGATE_FILES:-./*.test.mjs} || status=$?
if grep -rE --include='*.log' 'ThreadSanitizer|AddressSanitizer|LeakSanitizer|runtime error:' "$SPENDGATE_SCRATCH" >&2; then
	status=1
fi
exit $status
