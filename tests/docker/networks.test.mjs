// SPDX-License-Identifier: Apache-2.0
// Every kind of network and root that the engine offers: metered in each, refused at the cap in each.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, beforeEach, test } from 'node:test';

import { Host, PROVIDER, PROVIDER6, chat } from './lib.mjs';

let host;
before(async () => {
	host = new Host();
	await host.begin();
	host.docker('network', 'create', 'fleet');
	host.docker('network', 'create', '--internal', 'inner');
});
beforeEach(() => host.mock.reset());
after(() => host.end());

const curl = `curl -sS -m 20 -d '${JSON.stringify(chat('mock:tokens=4').body)}' https://api.openai.com/v1/chat/completions`;
const served = (text) => text.match(/"completion_tokens":/g)?.length ?? 0;
const twice = ['sh', '-c', `${curl}; echo; ${curl}`];
const bound = twice.map((word) => word.replaceAll('curl ', 'curl --interface eth0 '));

async function isMetered(labels, options, command = twice) {
	const { stdout, stderr } = await host.run({ 'budget.max-requests': 1, ...labels }, command, { options });
	assert.equal(served(stdout), 1, stdout + stderr);
	assert.match(stdout, /insufficient_quota/);
	assert.equal((await host.mock.bill()).requests, 1);
}

test('a user network', () => isMetered({ agent: 'user-network' }, ['--network', 'fleet']));
test('an internal network, with the host\'s way out', () => isMetered({ agent: 'internal', egress: 'host' }, ['--network', 'inner']));
test('no network, with the host\'s way out', () => isMetered({ agent: 'none', egress: 'host' }, ['--network', 'none']));
test('a read-only root', () => isMetered({ agent: 'read-only' }, ['--read-only']));
test('another user, without any capability', () => isMetered({ agent: 'nobody' }, ['--user', '65534:65534', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']));
test('a socket that is bound to a device', () => isMetered({ agent: 'device' }, [], bound));
test('the same without the right to unbind it: refused at once', async () => {
	const { stdout, stderr } = await host.run({ agent: 'bound', 'budget.max-requests': 1 }, bound, { options: ['--cap-drop', 'NET_RAW'] });
	assert.equal(served(stdout), 0);
	assert.match(stderr, /Couldn't connect|Failed to connect/);
	await host.logged(/event=refused agent=bound reason=no_listener/);
});
test('a variable that is set keeps what it names, and trusts us too', () => isMetered({ agent: 'set' }, ['-e', 'CURL_CA_BUNDLE=/tests/docker/other-roots.pem']));

test('a network with IPv6, the provider at an IPv6 address', async () => {
	host.docker('network', 'create', '--ipv6', '--subnet', 'fd00:5::/64', 'six');
	const { stdout, stderr } = await host.client('run', '--rm', '--network', 'six', '--add-host', `api.openai.com:${PROVIDER6}`, '--label', 'spendgate.agent=six', '--label', 'spendgate.budget.max-requests=1', 'agents', ...twice);
	assert.equal(served(stdout), 1, stdout + stderr);
	assert.match(stdout, /insufficient_quota/);
	assert.equal((await host.mock.bill()).requests, 1);
});

test('macvlan, with the host\'s way out', async () => {
	execFileSync('ip', ['link', 'add', 'outside', 'type', 'veth', 'peer', 'name', 'outside-peer']);
	execFileSync('ip', ['link', 'set', 'outside', 'up']);
	host.docker('network', 'create', '-d', 'macvlan', '-o', 'parent=outside', '--subnet', '192.0.2.0/24', 'lan');
	await isMetered({ agent: 'macvlan', egress: 'host' }, ['--network', 'lan']);
});

test('no network, and no way out of the host\'s, leads nowhere', async () => {
	const { stdout } = await host.run({ agent: 'closed', 'budget.max-requests': 1 }, twice, { options: ['--network', 'none'] });
	assert.equal(served(stdout), 0);
	assert.equal((await host.mock.bill()).requests, 0);
});

test('the host\'s network', async () => {
	// The host's own names hold there.
	await isMetered({ agent: 'host-network' }, ['--network', 'host']);
});

test('two agents in one network namespace: each is known by its cgroup', async () => {
	host.docker('run', '-d', '--name', 'first', '--label', 'spendgate.budget.max-requests=1', '--add-host', `api.openai.com:${PROVIDER}`, 'agents', 'sleep', '1000');
	const { stdout, stderr } = await host.client('run', '--rm', '--label', 'spendgate.agent=second', '--label', 'spendgate.budget.max-requests=2', '--network', 'container:first', 'agents', 'sh', '-c', `${curl}; ${curl}; ${curl}`);
	assert.equal(served(stdout), 2, stdout + stderr);
	assert.equal(served(host.docker('exec', 'first', 'sh', '-c', `${curl}; ${curl}`)), 1, 'the second\'s calls are not the first\'s');
	host.docker('rm', '-f', 'first');
	await host.empty();
});

test('containers reach each other directly, and published ports work', async () => {
	host.docker('run', '-d', '--name', 'server', '--network', 'fleet', '-p', '18080:8080', '--label', 'spendgate.budget.max-requests=1', 'agents', 'python3', '-m', 'http.server', '8080', '--directory', '/etc/ssl');
	const { stdout, stderr } = await host.client('run', '--rm', '--network', 'fleet', '--label', 'spendgate.agent=peer', 'agents', 'curl', '-sS', '--retry', '20', '--retry-connrefused', '--retry-delay', '1', 'http://server:8080/');
	assert.match(stdout, /openssl.cnf/, stderr);
	assert.match(await (await fetch('http://127.0.0.1:18080/')).text(), /openssl.cnf/);
	host.docker('rm', '-f', 'server');
	await host.empty();
});
