// SPDX-License-Identifier: Apache-2.0
// HTTP/2 towards providers, from agents of either protocol. Judged by the mock provider's own bill, which counts connections and streams.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, PYTHON, chat, dollars, message, startMock, until } from './lib.mjs';

let mock, gate;

// One worker, so that connections can be counted.
before(async () => {
	mock = await startMock(['--http2', 'both', '--plain-port', '0', '--host', 'llm.internal']);
	gate = new Gate(mock);
	await gate.daemon({ workers: 1, origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true, http2: true }] });
});
beforeEach(() => mock.reset());
after(async () => {
	await gate?.stop();
	await mock?.stop();
});

const call = (text, more = {}) => ({ path: '/v1/chat/completions', body: chat(text, more).body });
const words = (text) => text?.match(/tok |(?:é|Ã©)(?:\n|\\n)/g)?.length;
const h1 = (name, caps, orders) => gate.agent('openai.mjs', name, caps, { maxRetries: 0, ...orders });
const h2 = (name, caps, orders) => gate.agent('http2.mjs', name, caps, { origin: 'https://api.openai.com', ...orders });

async function assertExact(status) {
	const bill = await mock.bill();
	assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd), `spent ${status.spent_usd}, billed ${bill.usd}`);
	assert.deepEqual([status.held_usd, status.estimated], ['0', 0]);
	return bill;
}

test('the SDKs: plain, stream and tool, over streams of one connection; refused, the provider is not asked', async () => {
	const { results, status } = await h1('h2p-openai', { 'limit-usd': '1', 'max-requests': 4 }, { calls: [chat('mock:tokens=5'), chat('mock:tokens=7', { stream: true }), { api: 'responses', body: { model: 'gpt-5', input: 'mock:tokens=6', max_output_tokens: 50, stream: true } }, chat('mock:tool=1', { tools: [{ type: 'function', function: { name: 'weather', parameters: {} } }] }), chat('refused')] });
	assert.deepEqual(results.map(({ text, tool }) => tool ?? words(text)), [5, 7, 6, 'weather', undefined]);
	assert.equal(results[1].empty, 0, 'no usage chunk that was not asked for');
	assert.equal(results[4].status, 429);
	const bill = await assertExact(status);
	assert.deepEqual([bill.connections, bill.streams, bill.calls], [1, 4, 4]);
	await mock.reset();
	const claude = await gate.agent('anthropic.mjs', 'h2p-anthropic', { 'max-requests': 2 }, { calls: [message('mock:tokens=5'), message('mock:tokens=7', { stream: true }), message('refused')] });
	assert.deepEqual(claude.results.map(({ ok, status: code }) => ok || code), [true, true, 429]);
	assert.deepEqual([(await assertExact(claude.status)).streams, (await mock.bill()).connections], [2, 1]);
});

test('50 calls at a time of one agent, over one connection', async () => {
	for (const agent of [h1, h2]) {
		await mock.reset();
		const name = agent === h1 ? 'h2p-many-h1' : 'h2p-many-h2';
		const calls = [chat('first'), ...Array.from({ length: 50 }, (_, i) => chat(`mock:tokens=${i + 1} mock:head=300`, { stream: i % 2 === 1 }))];
		const { results, status } = await agent(name, { 'limit-usd': '1' }, { alone: 1, parallel: 50, calls: agent === h1 ? calls : calls.map(({ body }) => ({ path: '/v1/chat/completions', body })) });
		const texts = agent === h1 ? results.map(({ text }) => text) : results.results.map(({ body }) => body);
		assert.deepEqual(texts.slice(1).map(words), Array.from({ length: 50 }, (_, i) => i + 1));
		const bill = await assertExact(status);
		assert.deepEqual([bill.connections, bill.streams, bill.calls], [1, 51, 51]);
		assert.ok(bill.most_streams > 1, `${bill.most_streams} at a time`);
	}
});

test('50 at a time on a cap of one: exactly one is served', async () => {
	const { results, status } = await h1('h2p-cap', { 'max-requests': 1 }, { parallel: 50, calls: Array(50).fill(chat('mock:tokens=2 mock:head=50')) });
	assert.equal(results.filter(({ ok }) => ok).length, 1);
	assert.deepEqual([(await assertExact(status)).calls, status.calls], [1, 1]);
});

test('one stream is cancelled: the others go on, and it is charged what it used', async () => {
	const stream = (text) => call(text, { stream: true, max_tokens: 60 });
	const calls = [call('first'), stream('mock:tokens=40 mock:delay=5'), { ...stream('mock:tokens=30 mock:delay=20'), abortAfter: 3 }, stream('mock:tokens=40 mock:delay=5'), call('mock:tokens=5')];
	const { results: { results }, status } = await h2('h2p-cancel', { 'limit-usd': '1' }, { alone: 1, calls });
	assert.deepEqual(results.map(({ reset }) => reset), [0, 0, 8, 0, 0]);
	for (const i of [1, 3]) assert.match(results[i].body, /data: \[DONE\]\n\n$/);
	const bill = await assertExact(status); // it was read on to its end
	assert.deepEqual([bill.calls, bill.connections, bill.output_tokens], [5, 1, 8 + 40 + 30 + 40 + 5]);
	await mock.reset();
	const sdk = await h1('h2p-cancel-h1', { 'limit-usd': '1' }, { alone: 1, parallel: 3, calls: [chat('first'), chat('mock:tokens=40 mock:delay=5', { stream: true }), { ...chat('mock:tokens=30 mock:delay=20', { stream: true }), abortAfter: 3 }, chat('mock:tokens=5')] });
	assert.deepEqual([words(sdk.results[1].text), sdk.results[2].aborted], [40, true]);
	await until(async () => (await mock.bill()).calls === 4, 'the answer to be read to its end');
	assert.equal((await mock.bill()).connections, 1);
});

test('an upload that its agent gives up is reset, costs nothing, and leaves the connection to the others', async () => {
	const { stdout, stderr, status } = await gate.run('h2p-upload-left', { 'limit-usd': '1' }, [PYTHON, '-c', `
import json, socket, ssl, sys
context = ssl.create_default_context()
def connect(): return context.wrap_socket(socket.create_connection(("203.0.113.10", 443), 20), server_hostname="api.openai.com")
def get():
    s = connect(); s.sendall(b"GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: close\\r\\n\\r\\n")
    return s.makefile("rb").readline().split()[1].decode()
first = get()
s = connect(); s.sendall(b"POST /v1/files HTTP/1.1\\r\\nHost: api.openai.com\\r\\nContent-Length: 3000000\\r\\n\\r\\n" + b"x" * 1000000); s.close()
print(first, get(), get())`]);
	assert.equal(stdout, '200 200 200\n', stderr);
	assert.equal(status.spent_usd, '0');
	assert.equal((await mock.bill()).connections, 1);
});

test('refused by the provider, or left out of a connection that ends: repeated once, billed once', async () => {
	for (const fault of ['refused', 'goaway']) {
		await mock.reset();
		await mock.faults({ fault, times: 1 });
		const { results: { results }, status } = await h2(`h2p-${fault}`, { 'limit-usd': '1' }, { parallel: 1, calls: [{ method: 'GET', path: '/v1/models' }, call('mock:tokens=5'), call('mock:tokens=6')] });
		assert.deepEqual(results.slice(1).map(({ body }) => words(body)), [5, 6], fault);
		const bill = await assertExact(status);
		assert.deepEqual([bill.calls, bill.requests, bill.connections], [2, 4, fault === 'goaway' ? 2 : 1], fault);
	}
	await mock.faults({ fault: 'refused', times: 2 });
	const { results, status } = await h1('h2p-refused-twice', { 'limit-usd': '1' }, { calls: [chat('mock:tokens=5')] });
	assert.equal(results[0].status, 502);
	assert.deepEqual([status.spent_usd, status.held_usd, status.calls], ['0', '0', 0], 'nothing was done, nothing is charged');
});

test('calls that are under way when the provider says GOAWAY end well, on their connection', async () => {
	const slow = Array.from({ length: 4 }, () => chat('mock:tokens=20 mock:delay=20', { stream: true }));
	const running = h1('h2p-goaway-many', { 'limit-usd': '1' }, { alone: 1, parallel: 5, calls: [chat('first'), ...slow, { ...chat('mock:tokens=3 mock:fault=goaway'), waitMs: 150 }] });
	const { results, status } = await running;
	assert.deepEqual(results.slice(1, 5).map(({ text }) => words(text)), [20, 20, 20, 20]);
	// Its order is in its text: what repeats it is told the same.
	assert.equal(results[5].status, 502);
	assert.equal(status.held_usd, '0');
	assert.equal(dollars(status.spent_usd), BigInt((await mock.bill()).nanousd));
});

test('reset or cut by the provider: as with HTTP/1.1, the hold is charged and never less than the bill', async () => {
	for (const [fault, more] of [['rst', {}], ['reset', {}], ['billed-reset', {}], ['cut', {}], ['reset-midway', { stream: true }], ['no-usage', { stream: true }]]) {
		await mock.reset();
		const { results, status } = await h1(`h2p-${fault}`, { 'limit-usd': '1' }, { calls: [chat(`mock:tokens=5 mock:fault=${fault}`, more), chat('mock:tokens=5')] });
		assert.equal(results[1].text, 'tok '.repeat(5), 'the next call is served');
		const bill = await mock.bill();
		assert.deepEqual([status.estimated, status.held_usd, bill.connections], [1, '0', 1], fault);
		assert.ok(dollars(status.spent_usd) >= BigInt(bill.nanousd), `${fault}: spent ${status.spent_usd}, billed ${bill.usd}`);
	}
});

test('a connection that breaks takes its calls with it; the next has another', async () => {
	const stream = (text) => chat(text, { stream: true });
	const { results, status } = await h1('h2p-broken', { 'limit-usd': '1' }, { alone: 1, parallel: 3, calls: [chat('first'), stream('mock:tokens=50 mock:delay=200'), stream('mock:tokens=50 mock:delay=200'), stream('mock:tokens=50 mock:delay=400 mock:fault=break'), chat('mock:tokens=5')] });
	assert.deepEqual(results.map(({ ok }) => ok), [true, false, false, false, true]);
	const bill = await mock.bill();
	assert.equal(status.held_usd, '0');
	assert.equal(bill.connections, 2);
	assert.ok(dollars(status.spent_usd) >= BigInt(bill.nanousd), `spent ${status.spent_usd}, billed ${bill.usd}`);
});

test('heads, trailers, interim answers, HEAD, errors and odd framings arrive as with HTTP/1.1', async () => {
	const faults = ['trailers', 'interim', 'gzip', 'slowloris', 'close', 'untilclose'];
	const calls = [...faults.map((fault) => call(`mock:tokens=5 mock:fault=${fault}`)), { method: 'HEAD', path: '/v1/models' }, { method: 'GET', path: '/v1/models' }, call('mock:status=500'), call('mock:tokens=20 mock:fault=cut')];
	const { results: { results }, status } = await h2('h2p-heads', { 'limit-usd': '1' }, { calls });
	assert.deepEqual(results.map(({ status: code }) => code), [...Array(6).fill(200), 404, 200, 500, 200]);
	assert.deepEqual(results[0].trailers, { 'x-checksum': 'of-the-answer' });
	assert.deepEqual(results[1].interim, [102]);
	assert.equal(results[9].reset, 2);
	assert.equal(status.held_usd, '0');
	await mock.reset();
	const curl = await gate.run('h2p-heads-h1', { 'limit-usd': '1' }, ['sh', '-c', `
		c() { curl -sS --http1.1 -o /dev/null -D - -d "$1" https://api.openai.com/v1/chat/completions | tr -d '\\r' | grep -iE '^HTTP|^content-length|^transfer|^trailer|^connection|^x-check'; echo; }
		for body in ${['4', '4 mock:fault=trailers', '4 mock:fault=interim'].map((text) => `'${JSON.stringify(chat(`mock:tokens=${text}`).body)}'`).join(' ')}; do c "$body"; done
		curl -sS --http1.1 -I -o /dev/null -w '%{http_code} %{size_download}\\n' https://api.openai.com/v1/models
		curl -sS --http1.1 -T - -H 'Expect:' -w '%{http_code}' https://api.openai.com/v1/files -X POST < /dev/null`]);
	const [plain, trailers, interim, rest] = curl.stdout.split('\n\n');
	assert.match(plain, /^HTTP\/1\.1 200 OK\ncontent-length: \d+$/, curl.stderr);
	assert.match(trailers, /^HTTP\/1\.1 200 OK\ntrailer: x-checksum\ntransfer-encoding: chunked\nx-checksum: of-the-answer$/);
	assert.match(interim, /^HTTP\/1\.1 102 \nHTTP\/1\.1 200 OK\n/);
	assert.match(rest, /^404 0\n\{.*"bytes":0.*\}200$/);
	await assertExact(curl.status);
});

test('trailers of an upload travel on; who speaks HTTP/1.0 is served by HTTP/1.1', async () => {
	const { stdout, stderr } = await gate.run('h2p-trailers', { 'limit-usd': '1' }, [PYTHON, '-c', `
import socket, ssl
s = ssl.create_default_context().wrap_socket(socket.create_connection(("203.0.113.10", 443), 20), server_hostname="api.openai.com")
s.sendall(b"POST /v1/files HTTP/1.1\\r\\nHost: api.openai.com\\r\\nTransfer-Encoding: chunked\\r\\nTrailer: x-sum\\r\\nConnection: close\\r\\n\\r\\n5\\r\\nhello\\r\\n0\\r\\nx-sum: 42\\r\\n\\r\\n")
print(s.makefile("rb").read().decode())
s = ssl.create_default_context().wrap_socket(socket.create_connection(("203.0.113.10", 443), 20), server_hostname="api.openai.com")
s.sendall(b"GET /v1/models HTTP/1.0\\r\\nHost: api.openai.com\\r\\n\\r\\n")
print(s.makefile("rb").read().decode())`]);
	assert.match(stdout, /"bytes":5,"trailers":\{"x-sum":"42"\}[^]*HTTP\/1.1 200 OK[^]*"id":"gpt-4o"/, stderr);
	assert.deepEqual([(await mock.bill()).streams, (await mock.bill()).requests], [1, 2]);
});

test('a slow reader holds back its own stream only, and gets all of it', async () => {
	const slow = { ...call('mock:tokens=20000', { stream: true, max_tokens: 20000 }), pauseMs: 1500 };
	const { results: { results }, status } = await h2('h2p-slow', { 'limit-usd': '1' }, { alone: 1, calls: [call('first'), slow, ...Array.from({ length: 5 }, () => call('mock:tokens=5'))] });
	assert.deepEqual(results.map(({ status: code }) => code), Array(7).fill(200));
	assert.equal(results[1].rank, 6, 'the slow one ended last');
	assert.match(results[1].body, /data: \[DONE\]\n\n$/);
	assert.deepEqual([(await assertExact(status)).connections, (await mock.bill()).output_tokens], [1, 20033]);
	await mock.reset();
	// The same on connections of HTTP/1.1: one does not read until the others have been served.
	const python = await gate.run('h2p-slow-h1', { 'limit-usd': '1' }, [PYTHON, '-c', `
import json, socket, ssl, sys
def ask(body):
    raw = socket.socket(); raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192); raw.settimeout(20); raw.connect(("203.0.113.10", 443))
    s = ssl.create_default_context().wrap_socket(raw, server_hostname="api.openai.com")
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body.encode())
    return s
slow, quick = sys.argv[1:]
ask(quick).makefile("rb").read()
s = ask(slow); s.recv(1)
for _ in range(5): assert b"completion_tokens" in ask(quick).makefile("rb").read()
rest = s.makefile("rb").read()
print(rest.count(b"tok ") + rest.count("é".encode()), rest.endswith(b"0\\r\\n\\r\\n"))`, JSON.stringify(call('mock:tokens=20000', { stream: true, max_tokens: 20000 }).body), JSON.stringify(call('mock:tokens=5').body)]);
	assert.equal(python.stdout, '20000 True\n', python.stderr);
	assert.deepEqual([(await assertExact(python.status)).connections, (await mock.bill()).output_tokens], [1, 20030]);
});

test('large uploads go through in pieces, several at a time', async () => {
	const { results: { results } } = await h2('h2p-upload', { 'limit-usd': '1' }, { alone: 1, calls: [{ method: 'GET', path: '/v1/models' }, { path: '/v1/files', fill: 5_000_000 }, { path: '/v1/files', fill: 3_000_000 }] });
	assert.deepEqual(results.slice(1).map(({ body }) => JSON.parse(body).bytes), [5_000_000, 3_000_000]);
	assert.equal((await mock.bill()).connections, 1);
});

test('a session over a WebSocket has a connection of HTTP/1.1', async () => {
	const { stdout, stderr, status } = await gate.run('h2p-websocket', { 'limit-usd': '1' }, ['node', 'agents/websocket.mjs', 'responses', JSON.stringify({ turns: ['mock:tokens=5', 'mock:tokens=6'] })]);
	assert.deepEqual(JSON.parse(stdout || '{}').texts?.map((text) => text.match(/tok/g).length), [5, 6], stderr);
	const bill = await assertExact(status);
	assert.deepEqual([bill.calls, bill.streams], [2, 0]);
});

test('no more calls at a time on a connection than the provider allows: the others wait, or have another', async () => {
	const few = await startMock(['--http2', 'only', '--streams', '5']);
	try {
		const calls = [chat('first'), ...Array.from({ length: 40 }, () => chat('mock:tokens=4 mock:head=300'))];
		const { results, status } = await new Gate(few).agent('openai.mjs', 'h2p-limit', { 'limit-usd': '1' }, { alone: 1, parallel: 20, maxRetries: 0, calls });
		assert.deepEqual(results.map(({ ok }) => ok), Array(41).fill(true));
		const bill = await few.bill();
		assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd));
		assert.equal(bill.streams, 41);
		assert.ok(bill.most_streams <= 5, `${bill.most_streams} at a time`);
	} finally {
		await few.stop();
	}
});

test('plain HTTP/2 to an origin that is registered so; an origin may be kept to HTTP/1.1', async () => {
	const url = `http://127.0.0.1:${mock.plain_port}/v1/chat/completions`;
	const curl = (name, flag) => gate.run(name, { 'max-requests': 1 }, ['sh', '-c', `for i in 1 2; do curl -sS ${flag} -w ' %{http_version} %{http_code}\\n' -d '${JSON.stringify(chat('mock:tokens=4').body)}' ${url}; done`]);
	for (const [name, flag, version] of [['h2p-plain-h1', '--http1.1', '1\\.1'], ['h2p-plain-h2', '--http2-prior-knowledge', '2']]) {
		await mock.reset();
		const { stdout, stderr, status } = await curl(name, flag);
		assert.match(stdout, new RegExp(`"completion_tokens":4.* ${version} 200\n.*budget.* ${version} 4`, 's'), stderr);
		assert.equal((await assertExact(status)).streams, 1);
	}
	const own = new Gate(mock);
	await own.daemon({ origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.port}`, provider: 'openai', http2: false }] });
	await mock.reset();
	const kept = await own.run('h2p-kept', { 'limit-usd': '1' }, ['curl', '-sS', '--resolve', `llm.internal:${mock.port}:127.0.0.1`, '-d', JSON.stringify(chat('mock:tokens=4').body), `https://llm.internal:${mock.port}/v1/chat/completions`]);
	await own.stop();
	assert.match(kept.stdout, /"completion_tokens":4/, kept.stderr);
	assert.equal((await assertExact(kept.status)).streams, 0);
});

test('a stop of the service lets a stream end that comes over HTTP/2', async () => {
	const own = new Gate(mock);
	await own.daemon({ workers: 1 });
	await mock.reset();
	const orders = JSON.stringify({ maxRetries: 0, calls: [chat('mock:tokens=25 mock:delay=40', { stream: true })] });
	const agent = own.begin('h2p-stop', { 'limit-usd': '1' }, ['node', 'agents/openai.mjs', orders]);
	await until(async () => (await mock.bill()).streams === 1, 'the call to be at the provider');
	await own.stop();
	const { stdout, stderr } = await agent.done;
	assert.equal(words(JSON.parse(stdout)[0].text), 25, stderr + stdout);
	assert.equal((await mock.bill()).output_tokens, 25);
});
