// SPDX-License-Identifier: Apache-2.0
// Agents in network namespaces of their own: the listener is opened there, and providers are dialled from there, or from the host.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Gate, build, chat, dollars, root, scratch, start, startMock } from './lib.mjs';

let mock, gate;
before(async () => {
	mock = await startMock();
	gate = new Gate(mock);
	await gate.daemon();
});
after(async () => {
	await gate.stop();
	await mock.stop();
});

const call = (text) => `curl -sS -m 10 -d '${JSON.stringify(chat(text).body)}' https://api.openai.com/v1/chat/completions`;

test('egress host: an agent in a namespace without any way out reaches the provider through the host', async () => {
	const status = path.join(scratch, 'egress-host.json');
	const { stdout, stderr } = await start('unshare', ['--net', 'sh', '-c', `ip link set lo up
exec ${build}/spendgate run --agent egress-host --limit-usd 1 --egress host --origin api.openai.com=127.0.0.1:${mock.port} --upstream-ca ${mock.ca} --status-file ${status} -- sh -c "$0; echo; $0"`, call('mock:tokens=4')], { env: gate.env }).done;
	assert.equal(stdout.match(/"completion_tokens":4/g)?.length, 2, stdout + stderr);
	assert.equal(dollars(JSON.parse(fs.readFileSync(status)).spent_usd), BigInt((await mock.bill()).nanousd));
});

test('egress agent: dialled inside the agent\'s own namespace, where alone the provider is', async () => {
	await mock.reset();
	const status = path.join(scratch, 'egress-agent.json');
	const { stdout, stderr } = await start('unshare', ['--net', 'bash', '-c', `ip link set lo up
node ${root}/tools/mock-provider/server.mjs --dir ${scratch}/inner --port ${mock.port} > ${scratch}/inner.out & inner=$!
until [ -s ${scratch}/inner.out ]; do sleep 0.05; done
${build}/spendgate run --agent egress-agent --limit-usd 1 --origin api.openai.com=127.0.0.1:${mock.port} --upstream-ca ${scratch}/inner/ca.pem --status-file ${status} -- sh -c "$0; echo; $0"
kill $inner`, call('mock:tokens=4')], { env: gate.env }).done;
	assert.equal(stdout.match(/"completion_tokens":4/g)?.length, 2, stdout + stderr);
	assert.equal(JSON.parse(fs.readFileSync(status)).calls, 2);
	assert.equal((await mock.bill()).requests, 0, 'the mock of the host\'s namespace, on the same port, saw nothing');
});

test('a provider certificate that is not trusted is a clear 502, and costs nothing', async () => {
	const status = path.join(scratch, 'untrusted.json');
	const { stdout } = await start(`${build}/spendgate`, ['run', '--agent', 'untrusted', '--limit-usd', '1', '--origin', `api.openai.com=127.0.0.1:${mock.port}`, '--status-file', status, '--', 'sh', '-c', call('x')], { env: gate.env }).done;
	assert.match(stdout, /certificate of api.openai.com is not trusted/);
	assert.equal(JSON.parse(fs.readFileSync(status)).spent_usd, '0');
});

test('a provider that can not be reached is a clear 502, and costs nothing', async () => {
	const status = path.join(scratch, 'unreachable.json');
	const { stdout } = await start(`${build}/spendgate`, ['run', '--agent', 'unreachable', '--limit-usd', '1', '--origin', 'api.openai.com=127.0.0.1:1', '--status-file', status, '--', 'sh', '-c', call('x')], { env: gate.env }).done;
	assert.match(stdout, /can't reach the provider: Connection refused/);
	assert.equal(JSON.parse(fs.readFileSync(status)).spent_usd, '0');
});
