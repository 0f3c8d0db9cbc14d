#!/bin/bash
# The demonstration: a mock provider, an agent with the official SDK, a budget of $0.01. Run by `make demo`, as root.
set -eu
cd "$(dirname "$0")/../.."

if [ "${SPENDGATE_SANDBOX:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "the demo needs root for BPF and a network namespace: sudo make demo" >&2; exit 77; }
	[ -d tests/e2e/node_modules/openai ] || (cd tests/e2e && npm ci --silent)
	# A network namespace with nothing but loopback: a redirect that failed would have nowhere to go.
	exec env SPENDGATE_SANDBOX=1 unshare --net --mount --propagation private tools/demo/demo.sh
fi

ip link set lo up
folder=$(mktemp -d)
chmod 755 "$folder"
printf '127.0.0.1 localhost\n203.0.113.10 api.openai.com\n' > "$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts
export SPENDGATE_RUN_DIR=$folder/run SPENDGATE_STATE_DIR=$folder/state SPENDGATE_PIN_DIR=/sys/fs/bpf/spendgate-demo
node tools/mock-provider/server.mjs --dir "$folder/mock" > "$folder/mock.out" &
mock=$!
trap 'kill $mock 2>/dev/null || true; wait $mock 2>/dev/null || true; umount /etc/hosts; rm -rf "$folder"' EXIT
until [ -s "$folder/mock.out" ]; do sleep 0.05; done
field() { node -p "JSON.parse(require('fs').readFileSync('$1'))$2"; }
port=$(field "$folder/mock.out" .port)
cp tools/demo/agent.mjs tests/e2e/.demo-agent.mjs # next to its node_modules

echo "== An agent that loops, with a budget of \$0.01. It knows nothing of spendgate."
build/gcc/spendgate run --agent demo --limit-usd 0.01 --window 24h --origin "api.openai.com=127.0.0.1:$port" \
	--upstream-ca "$folder/mock/ca.pem" --status-file "$folder/status.json" -- node tests/e2e/.demo-agent.mjs
rm -f tests/e2e/.demo-agent.mjs
curl -s "http://127.0.0.1:$(field "$folder/mock.out" .control_port)/bill" > "$folder/bill.json"

echo
printf '%-28s %14s %14s\n' '' 'spendgate says' "provider's bill"
printf '%-28s %14s %14s\n' 'calls served' "$(field "$folder/status.json" .calls)" "$(field "$folder/bill.json" .calls)"
printf '%-28s %14s %14s\n' 'spent (USD)' "$(field "$folder/status.json" .spent_usd)" "$(field "$folder/bill.json" .usd)"
printf '%-28s %14s %14s\n' 'cap (USD)' 0.01 ''
printf '%-28s %14s %14s\n' 'refused' "$(field "$folder/status.json" .refused)" 'never saw it'
