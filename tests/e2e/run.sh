#!/bin/bash
# Runs the end-to-end tests in a sandbox of their own: a network namespace with nothing but loopback, and a mount namespace in
# which the providers' names lead to TEST-NET addresses. A redirect that failed would have nowhere to go. Several files run side by
# side, each in its sandbox. `--brief`: the core only; SPENDGATE_FILES and SPENDGATE_ONLY (a pattern of names) choose tests,
# SPENDGATE_BUILD the programs (several folders: each of them).
set -eu
cd "$(dirname "$0")"

fail() {
	echo "end-to-end tests did NOT run: $1" >&2
	[ "${SPENDGATE_ALLOW_SKIP:-}" = 1 ] && exit 0
	exit 1
}

if [ "${SPENDGATE_SANDBOX:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || fail "they need root (BPF, cgroups, namespaces)"
	builds=${SPENDGATE_BUILD:-build/gcc}
	for build in $builds; do
		[ -x "../../$build/spendgate" ] || fail "$build has no programs: make"
	done
	# Again when the list of packages has changed.
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent || fail "npm ci failed"
	if [ "${1:-}" = --brief ]; then
		files=${SPENDGATE_FILES:-core.test.mjs cases.test.mjs}
	else
		files=${SPENDGATE_FILES:-$(ls -S ./*.test.mjs)} # the longest first
	fi
	export SPENDGATE_SANDBOX=1
	# They wait more than they work.
	for build in $builds; do
		# shellcheck disable=SC2086
		printf "$build %s\n" $files
	done | xargs -n 2 -P $((2 * $(nproc))) sh -c \
		'exec ../../tools/run-whole env SPENDGATE_BUILD="$1" unshare --net --mount --propagation private ./run.sh "$2"' sh
	exit
fi

ip link set lo up
scratch=$(mktemp -d /tmp/spendgate-e2e-XXXXXX)
chmod 755 "$scratch"
export TMPDIR=$scratch
hosts=$scratch/hosts
printf '127.0.0.1 localhost\n::1 localhost\n203.0.113.10 api.openai.com\n203.0.113.11 api.anthropic.com\n203.0.113.12 eu.api.openai.com\n203.0.113.20 other.example\n' > "$hosts"
for name in api.deepseek.com api.fireworks.ai api.groq.com api.mistral.ai openrouter.ai api.perplexity.ai api.together.xyz api.x.ai \
	generativelanguage.googleapis.com us-central1-aiplatform.googleapis.com us-east5-aiplatform.googleapis.com api.cohere.com ollama.com \
	bedrock-runtime.us-east-1.amazonaws.com bedrock-mantle.us-east-1.api.aws; do
	printf '203.0.113.30 %s\n' "$name" >> "$hosts"
done
mount --bind "$hosts" /etc/hosts
# Whatever the machine's own settings are, agents start with none about certificates or proxies.
for name in $(env | sed -n 's/^\([A-Za-z_]*\(CA_BUNDLE\|CA_CERTS\|CERT_FILE\|CAINFO\|_PROXY\|_proxy\|CA_CERTIFICATE\|CERTS_PATH\|PIP_CERT\|DENO_CERT\|CERT_DIR\)\)=.*/\1/p'); do
	unset "$name"
done
status=0
timeout --foreground 900 node --test ${SPENDGATE_ONLY:+--test-name-pattern="$SPENDGATE_ONLY"} --test-reporter=spec "$1" || status=$?
# The programs' own logs: a sanitizer's report is a failure even when no test noticed.
if grep -rE --include=spendgated.log 'ThreadSanitizer|AddressSanitizer|LeakSanitizer|runtime error' "$scratch" >&2; then
	status=1
fi
umount /etc/hosts
rm -rf "$scratch"
exit $status
