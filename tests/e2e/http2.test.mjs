// SPDX-License-Identifier: Apache-2.0
// HTTP/2 with clients that speak nothing else. Judged by the mock provider's own bill, where it keeps one.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, build, chat, directories, dollars, here, root, scratch, start, startMock } from './lib.mjs';

const BEDROCK = 'bedrock-runtime.us-east-1.amazonaws.com';
let mock, gate;

before(async () => {
	const answers = ['bedrock-converse', 'bedrock-converse-stream', 'bedrock-invoke-anthropic'].flatMap((name) => ['--answer', name]);
	mock = await startMock(['--plain-port', '0', '--exchanges', path.join(root, 'tests/conformance/fixtures'), '--host', BEDROCK, ...answers]);
	gate = new Gate(mock);
});
beforeEach(() => mock.reset());
after(() => mock?.stop());

const call = (text, more = {}) => ({ path: '/v1/chat/completions', body: chat(text, more).body });
const agent = (name, caps, orders, extra) => gate.agent('http2.mjs', name, caps, { origin: 'https://api.openai.com', ...orders }, extra);

async function assertExact(status) {
	const bill = await mock.bill();
	assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd), `spent ${status.spent_usd}, billed ${bill.usd}`);
	assert.equal(status.held_usd, '0');
	return bill;
}

test('calls of one connection at the same time, plain and streaming, each metered', async () => {
	const calls = Array.from({ length: 40 }, (_, i) => call(`mock:tokens=${i + 1}`, { stream: i % 2 === 1, max_tokens: 50 }));
	const { results: { results, protocol }, status } = await agent('h2-many', { 'limit-usd': '1' }, { calls });
	assert.equal(protocol, 'h2');
	assert.deepEqual(results.map(({ status: code }) => code), Array(40).fill(200));
	for (const [i, { body }] of results.entries()) {
		if (i % 2 === 0) assert.equal(JSON.parse(body).usage.completion_tokens, i + 1);
		else assert.match(body, /data: \[DONE\]\n\n$/);
		assert.doesNotMatch(body, i % 2 === 1 ? /"choices":\[\]/ : /^$/, 'no usage chunk that was not asked for');
	}
	assert.equal(status.calls, 40);
	assert.equal((await assertExact(status)).calls, 40);
});

test('as many calls as the budget has room for are served, the others refused', async () => {
	const calls = Array.from({ length: 60 }, () => call('mock:tokens=max', { max_tokens: 10 }));
	const { results: { results }, status } = await agent('h2-cap', { 'max-requests': '25' }, { calls });
	const served = results.filter(({ status: code }) => code === 200);
	assert.equal(served.length, 25);
	for (const { status: code, headers } of results.filter((result) => !served.includes(result))) {
		assert.equal(code, 402);
		assert.equal(headers['x-should-retry'], 'false');
		assert.equal(headers.connection, undefined);
	}
	assert.equal((await assertExact(status)).calls, 25);
});

test('one stream is cancelled: the others go on, and it is charged what it used', async () => {
	const stream = (text) => call(text, { stream: true, max_tokens: 60 });
	const calls = [stream('mock:tokens=40 mock:delay=5'), { ...stream('mock:tokens=30 mock:delay=20'), abortAfter: 3 }, stream('mock:tokens=40 mock:delay=5'), call('mock:tokens=5')];
	const running = gate.begin('h2-cancel', { 'limit-usd': '1' }, ['node', path.join(here, 'agents/http2.mjs'), JSON.stringify({ origin: 'https://api.openai.com', calls })]);
	const file = gate.statusFile;
	const { stdout } = await running.done;
	const { results } = JSON.parse(stdout);
	assert.deepEqual(results.map(({ reset }) => reset), [0, 8, 0, 0]);
	for (const i of [0, 2]) assert.match(results[i].body, /data: \[DONE\]\n\n$/);
	const status = JSON.parse(fs.readFileSync(file));
	// The provider was read on to its end: it billed all 30 tokens, and so do we.
	const bill = await assertExact(status);
	assert.equal(bill.calls, 4);
	assert.equal(bill.output_tokens, 40 + 30 + 40 + 5);
	assert.equal(status.estimated, 0);
});

test('heads, trailers, interim answers, HEAD and errors arrive as with HTTP/1.1', async () => {
	const calls = [call('mock:tokens=5 mock:fault=trailers'), call('mock:tokens=5 mock:fault=interim'), { method: 'HEAD', path: '/v1/models' }, { method: 'GET', path: '/v1/models', headers: { cookie: ['a=b', 'c=d'] } },
		{ path: '/v1/unknown', body: {} }, call('mock:status=500'), call('mock:tokens=20 mock:fault=cut'), { path: '/v1/chat/completions', raw: 'not JSON' }];
	const { results: { results }, status } = await agent('h2-heads', { 'limit-usd': '1' }, { calls });
	assert.deepEqual(results[0].trailers, { 'x-checksum': 'of-the-answer' });
	assert.deepEqual(results[1].interim, [102]);
	assert.deepEqual(results.map(({ status: code }) => code), [200, 200, 404, 200, 403, 500, 200, 400]);
	assert.equal(results[2].body, '');
	assert.equal(results[6].reset, 2, 'a cut answer is a reset stream, not an end');
	for (const { headers } of results) for (const name of ['connection', 'keep-alive', 'transfer-encoding']) assert.equal(headers[name], undefined);
	assert.equal(status.refused, 1);
	assert.equal(status.held_usd, '0');
});

test('rows 23, 29: a stream for another host is refused, whatever its connection', async () => {
	const calls = [{ ':authority': 'api.anthropic.com' }, { ':authority': 'other.example' }, { ':authority': 'api.openai.com', host: 'api.anthropic.com' }, { ':authority': 'API.OpenAI.com' }].map((headers) => ({ method: 'GET', path: '/v1/models', headers }));
	const { results: { results } } = await agent('h2-authority', { 'limit-usd': '1' }, { calls });
	assert.deepEqual(results.map(({ status: code, reset }) => code ?? `reset ${reset}`), [421, 421, 'reset 1', 200]);
	assert.equal((await mock.bill()).requests, 1);
});

test('gRPC to a provider is refused by policy, also when its request never ends', async () => {
	const grpc = { path: '/xai_api.Chat/GetCompletion', raw: '\0\0\0\0\x02ab', headers: { 'content-type': 'application/grpc+proto', te: 'trailers' } };
	const { results: { results }, status } = await agent('h2-grpc', { 'limit-usd': '1' }, { calls: [grpc, { ...grpc, hold: true }] });
	for (const { status: code, headers, body } of results) {
		assert.equal(code, 200);
		assert.equal(headers['grpc-status'], '7');
		assert.match(headers['grpc-message'], /gRPC/);
		assert.equal(headers['content-type'], 'application/grpc');
		assert.equal(body, '');
	}
	assert.equal(status.refused, 2);
	assert.equal((await mock.bill()).requests, 0);
	assert.match(gate.log(), /event=refused agent=h2-grpc .* reason=grpc status=200/);
});

test('a slow reader holds back its own stream only, and gets all of it', async () => {
	const slow = { ...call('mock:tokens=4000', { stream: true, max_tokens: 4000 }), pauseMs: 1500 };
	const { results: { results }, status } = await agent('h2-slow', { 'limit-usd': '1' }, { calls: [slow, ...Array.from({ length: 5 }, () => call('mock:tokens=5'))] });
	assert.deepEqual(results.map(({ status: code }) => code), Array(6).fill(200));
	assert.equal(results[0].rank, 5, 'the slow one ended last');
	assert.match(results[0].body, /data: \[DONE\]\n\n$/);
	assert.equal((await assertExact(status)).output_tokens, 4025);
});

test('a large body goes through in pieces', async () => {
	const { results: { results } } = await agent('h2-upload', { 'limit-usd': '1' }, { calls: [{ path: '/v1/files', fill: 5_000_000 }, { path: '/v1/files', fill: 3_000_000 }] });
	assert.deepEqual(results.map(({ body }) => JSON.parse(body).bytes), [5_000_000, 3_000_000]);
});

test('plain HTTP/2 to a registered origin, with prior knowledge; an offer to change to it is passed over', async () => {
	const own = new Gate(mock);
	await own.daemon({ origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true }] });
	const url = `http://127.0.0.1:${mock.plain_port}/v1/chat/completions`;
	const curl = (name, flag) => own.run(name, { 'max-requests': 1 }, ['sh', '-c', `for i in 1 2; do curl -sS ${flag} -w ' %{http_version} %{http_code}\\n' -d '${JSON.stringify(chat('mock:tokens=4').body)}' ${url}; done`]);
	const known = await curl('h2c-known', '--http2-prior-knowledge');
	assert.match(known.stdout, /"completion_tokens":4.* 2 200\n.*budget.* 2 402\n/s, known.stderr);
	assert.equal(dollars(known.status.spent_usd), BigInt((await mock.bill()).nanousd));
	const offered = await curl('h2c-offered', '--http2');
	assert.match(offered.stdout, /"completion_tokens":4.* 1\.1 200\n.*budget.* 1\.1 402\n/s, offered.stderr);
	await own.stop();
});

test('h2load: many connections with many calls at the same time, the budget holds', async () => {
	const file = path.join(scratch, 'h2load.json');
	fs.writeFileSync(file, JSON.stringify(chat('mock:tokens=3').body));
	fs.chmodSync(file, 0o644);
	const { stdout, status } = await gate.run('h2load', { 'max-requests': 300 }, ['h2load', '--npn-list=h2', '-n', '500', '-c', '4', '-m', '25', '-d', file, '-H', 'content-type: application/json', 'https://api.openai.com/v1/chat/completions']);
	assert.match(stdout, /Application protocol: h2/);
	assert.match(stdout, /status codes: 300 2xx, 0 3xx, 200 4xx, 0 5xx/, stdout);
	assert.match(stdout, /500 succeeded, 0 failed, 0 errored, 0 timeout|300 succeeded, 200 failed, 0 errored, 0 timeout/, stdout);
	assert.equal((await assertExact(status)).calls, 300);
});

const TEXTS = { plain: 'Nile', stream: 'Nile', invoke: 'Nile.' };

test("Amazon's SDK, which offers HTTP/2 only: metered, and refused at once", async () => {
	const run = async (limit) => {
		const statusFile = path.join(scratch, `bedrock-${limit}.json`);
		const flags = ['run', '--agent', 'bedrock', '--limit-usd', limit, '--origin', `${BEDROCK}=127.0.0.1:${mock.port}`, '--upstream-ca', mock.ca, '--status-file', statusFile];
		const result = await start(path.join(build, 'spendgate'), [...flags, '--', 'node', path.join(here, 'agents/bedrock.mjs')], { env: { ...process.env, ...directories() }, cwd: here }).done;
		assert.ok(result.stdout, result.stderr);
		return { results: JSON.parse(result.stdout), status: JSON.parse(fs.readFileSync(statusFile)) };
	};
	const { results, status } = await run('1');
	for (const [kind, text] of Object.entries(TEXTS)) assert.equal(results[kind].text, text, JSON.stringify(results[kind]));
	assert.equal(results.stream.usage.outputTokens, 4);
	assert.equal(status.calls, 3);
	assert.equal(status.estimated, 0);
	assert.notEqual(status.spent_usd, '0');
	const { requests } = await mock.bill();
	assert.equal(requests, 3);
	const denied = await run('0.000000001');
	for (const kind of Object.keys(TEXTS)) {
		const { error, status: code, attempts, message } = denied.results[kind];
		assert.deepEqual([error, code, attempts], ['ServiceQuotaExceededException', 400, 1]);
		assert.match(message, /exhausted/);
	}
	assert.equal(denied.status.refused, 3, 'the SDK tried each once');
	assert.equal((await mock.bill()).requests, requests, 'the provider was not contacted');
});
