// SPDX-License-Identifier: Apache-2.0
// The policy plane: an evaluator over HTTP that is not ours, real SDKs, judged by what the evaluator was told, what the agent
// saw and what the mock provider billed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, chat, dollars, message, scratch, start, startMock, until } from './lib.mjs';

// Answers each hook with what `rules` say (a value, or null: never), and keeps what it was told.
class Evaluator {
	constructor() {
		this.server = http.createServer(async (request, response) => {
			const parts = [];
			for await (const part of request) parts.push(part);
			const hook = request.url.replace('/base/policy/', '');
			this.told.push({ hook, token: request.headers.authorization, ...JSON.parse(Buffer.concat(parts)) });
			const rule = hook in this.rules ? this.rules[hook] : {};
			if (rule === null) return;
			const text = JSON.stringify(rule);
			response.writeHead(hook === 'score' ? 202 : 200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
			response.end(text);
		});
		this.reset();
	}
	reset() {
		this.rules = {};
		this.told = [];
	}
	hooks() {
		return this.told.map((call) => call.hook);
	}
	async start() {
		await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
		this.url = `http://127.0.0.1:${this.server.address().port}/base`;
	}
	stop() {
		this.server.closeAllConnections();
		this.server.close();
	}
}

let mock, gate, evaluator, counter = 0;
before(async () => {
	mock = await startMock();
	gate = new Gate(mock);
	evaluator = new Evaluator();
	await evaluator.start();
});
beforeEach(async () => {
	evaluator.reset();
	await mock.reset();
});
after(async () => {
	evaluator.stop();
	await mock.stop();
});

function configured(policy) {
	const file = path.join(scratch, `policy-${++counter}.json`);
	fs.writeFileSync(file, JSON.stringify({ policy }));
	return ['--config', file];
}

const FORMATS = {
	openai: { script: 'openai.mjs', call: chat, amended: { choices: [{ index: 0, message: { role: 'assistant', content: 'amended' }, finish_reason: 'stop' }] } },
	anthropic: { script: 'anthropic.mjs', call: message, amended: { type: 'message', role: 'assistant', content: [{ type: 'text', text: 'amended' }], model: 'claude-opus-5', stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } } },
};

async function ask(format, stream, policy, extra = [], more = {}) {
	const { script, call } = FORMATS[format];
	const calls = [call('mock:tokens=5', { ...(stream ? { stream: true } : {}), ...more })];
	const { results, status, stderr } = await gate.agent(script, `policy-${++counter}`, { 'limit-usd': '1' }, { calls, maxRetries: 0 }, [...(policy ? configured(policy) : []), ...extra]);
	const bill = await mock.bill();
	assert.equal(status.held_usd, '0', stderr);
	return { ...results[0], status, bill };
}

const assertExact = ({ status, bill }) => assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd));

function assertDenied(answer, reason) {
	assert.equal(answer.status_code ?? answer.ok, false);
	assert.match(answer.message, reason);
	assert.equal(answer.name, 'PermissionDeniedError');
}

for (const format of Object.keys(FORMATS))
	for (const stream of [false, true]) {
		const title = `${format}, ${stream ? 'a stream' : 'plain'}`;
		const policy = (more = {}) => ({ url: `${evaluator.url}/`, token: 'planted-evaluator-token', timeout_ms: 5000, ...more });

		test(`${title}: allowed, in order, with what it needs to know`, async () => {
			const answer = await ask(format, stream, policy({ rules: { path: '/etc/rules.json', digest: 'sha256:abc' } }));
			assert.equal(answer.text, 'tok '.repeat(5));
			await until(() => evaluator.told.length === 4, 'the score');
			assert.deepEqual(evaluator.hooks(), ['gate-request', 'decorate', 'gate-response', 'score']);
			for (const told of evaluator.told) {
				assert.equal(told.token, 'Bearer planted-evaluator-token');
				assert.match(told.agent_id, /^policy-\d+$/);
				assert.deepEqual([told.format, told.mode, told.stream], [format, 'plain', stream]);
				assert.deepEqual(told.rules, { path: '/etc/rules.json', digest: 'sha256:abc' });
			}
			const [gateRequest, , gateResponse, score] = evaluator.told;
			assert.equal(gateRequest.request.messages.length, 1);
			assert.equal(JSON.parse(gateResponse.request_body).messages.length, 1);
			assert.equal(gateResponse.response_status, 200);
			assert.match(gateResponse.response_header['Content-Type'][0], stream ? /event-stream/ : /json/);
			assert.equal(gateResponse.response_body === undefined, stream);
			assert.match(score.response_body, /tok/);
			assertExact(answer);
		});

		test(`${title}: denied by gate-request: the provider hears nothing`, async () => {
			evaluator.rules['gate-request'] = { verdict: 'deny', reason: 'not on a Sunday' };
			const answer = await ask(format, stream, policy());
			assertDenied(answer, /not on a Sunday/);
			assert.deepEqual(evaluator.hooks(), ['gate-request']);
			assert.deepEqual([answer.bill.seen.length, answer.status.calls, answer.status.refused], [0, 0, 1]);
		});

		test(`${title}: denied by gate-response: billed, and not seen`, async () => {
			evaluator.rules['gate-response'] = { verdict: 'deny', reason: 'not for these eyes' };
			const answer = await ask(format, stream, policy());
			assertDenied(answer, /not for these eyes/);
			assert.equal(answer.bill.seen.length, 1);
			if (!stream) assertExact(answer); // of a stream the hold is charged
			else assert.ok(dollars(answer.status.spent_usd) >= BigInt(answer.bill.nanousd));
		});

		test(`${title}: amended`, async () => {
			evaluator.rules['gate-response'] = { verdict: 'amend', amended_body: FORMATS[format].amended };
			const answer = await ask(format, stream, policy());
			// A stream can't be: it is past by then (the reference says so too).
			assert.equal(answer.text, stream ? 'tok '.repeat(5) : 'amended');
			await until(() => evaluator.hooks().includes('score'), 'the score');
			if (!stream) assert.match(evaluator.told.at(-1).response_body, /amended/);
			assertExact(answer);
		});

		test(`${title}: decorated once, held and billed as decorated`, async () => {
			evaluator.rules.decorate = { messages_patch: [{ role: 'user', content: 'mock:tokens=3' }], system_patch: 'be brief' };
			const answer = await ask(format, stream, policy());
			assert.equal(answer.text, 'tok '.repeat(3));
			assert.equal(evaluator.hooks().filter((hook) => hook === 'decorate').length, 1);
			assert.match(evaluator.told.at(-1).request_body, /be brief/);
			assertExact(answer);
		});

		test(`${title}: an evaluator that is down, closed and open`, async () => {
			const down = { url: 'http://127.0.0.1:9', timeout_ms: 1000 };
			assertDenied(await ask(format, stream, down), /policy_unavailable/);
			assert.equal((await mock.bill()).seen.length, 0);
			const answer = await ask(format, stream, { ...down, fail_mode: 'open' });
			assert.equal(answer.text, 'tok '.repeat(5));
			assertExact(answer);
		});

		test(`${title}: an evaluator that says nothing`, async () => {
			evaluator.rules['gate-request'] = null;
			assertDenied(await ask(format, stream, policy({ timeout_ms: 200 })), /policy_unavailable/);
			evaluator.rules = { decorate: null };
			const answer = await ask(format, stream, policy({ timeout_ms: 200 }));
			assert.equal(answer.text, 'tok '.repeat(5)); // decoration fails open whatever the mode
		});

		test(`${title}: an exempt agent is not asked about, and its budget holds`, async () => {
			evaluator.rules['gate-request'] = { verdict: 'deny' };
			const answer = await ask(format, stream, policy(), ['--policy-exempt']);
			assert.equal(answer.text, 'tok '.repeat(5));
			assert.deepEqual(evaluator.told, []);
			assert.equal(answer.status.calls, 1);
			assertExact(answer);
		});
	}

test('the tool filter takes a tool out', async () => {
	const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
	assert.equal((await ask('openai', false, { url: evaluator.url }, [], { tools })).tool, 'weather');
	evaluator.rules['gate-request'] = { verdict: 'allow', tool_filter: { mode: 'deny_list', tools: ['weather'] } };
	const answer = await ask('openai', false, { url: evaluator.url }, [], { tools });
	assert.equal(answer.tool, undefined);
	assert.equal(answer.text, 'tok '.repeat(5));
});

test('over HTTP/2: many calls of one connection, some denied, some amended, streams among them', async () => {
	const calls = Array.from({ length: 12 }, (_, i) => ({ path: '/v1/chat/completions', body: chat(`mock:tokens=${i + 1}`, { stream: i % 3 === 2 }).body }));
	evaluator.rules['gate-response'] = { verdict: 'amend', amended_body: FORMATS.openai.amended };
	const { results: { results, protocol }, status } = await gate.agent('http2.mjs', 'policy-h2', { 'limit-usd': '1' }, { origin: 'https://api.openai.com', calls }, configured({ url: evaluator.url }));
	assert.equal(protocol, 'h2');
	for (const [i, { status: code, body }] of results.entries()) {
		assert.equal(code, 200);
		assert.match(body, i % 3 === 2 ? /\[DONE\]/ : /"amended"/);
	}
	assertExact({ status, bill: await mock.bill() });
	evaluator.rules = { 'gate-request': { verdict: 'deny', reason: 'no' } };
	const denied = await gate.agent('http2.mjs', 'policy-h2-denied', { 'limit-usd': '1' }, { origin: 'https://api.openai.com', calls }, configured({ url: evaluator.url }));
	assert.deepEqual(denied.results.results.map((result) => result.status), Array(12).fill(403));
});

test('an agent that leaves while the evaluator thinks: nothing is held, nothing is made', async () => {
	evaluator.rules['gate-request'] = null;
	const orders = { origin: 'https://api.openai.com', calls: [{ path: '/v1/chat/completions', body: chat('mock:tokens=5').body }] };
	const agent = gate.begin('policy-gone', { 'limit-usd': '1' }, ['timeout', '2', 'node', 'agents/http2.mjs', JSON.stringify(orders)], configured({ url: evaluator.url, timeout_ms: 30000 }));
	const { stderr } = await agent.done;
	const status = JSON.parse(fs.readFileSync(gate.statusFile));
	assert.deepEqual(evaluator.hooks(), ['gate-request'], stderr);
	assert.deepEqual([status.held_usd, status.spent_usd, (await mock.bill()).seen.length], ['0', '0', 0]);
});

test('a compressed request is told, and its decoration billed', async () => {
	evaluator.rules.decorate = { messages_patch: [{ role: 'user', content: 'mock:tokens=3' }] };
	const { results, status } = await gate.agent('encoded.mjs', 'policy-encoded', { 'limit-usd': '1' }, [{ coding: 'gzip', body: chat('mock:tokens=9').body }], configured({ url: evaluator.url }));
	assert.equal(results[0].status, 200);
	assert.equal(evaluator.told[0].request.messages[0].content, 'mock:tokens=9');
	assertExact({ status, bill: await mock.bill() });
});

test('the names of the reference\'s environment', async () => {
	evaluator.rules['gate-request'] = { verdict: 'deny', reason: 'from the environment' };
	const other = new Gate(mock, { CLLAMA_POLICY_URL: evaluator.url, CLLAMA_POLICY_TOKEN: 'secret', CLLAMA_POLICY_TIMEOUT_MS: '3000', CLLAMA_POLICY_FAIL_MODE: 'closed' });
	const { results } = await other.agent('openai.mjs', 'policy-environment', { 'limit-usd': '1' }, { calls: [chat('mock:tokens=5')], maxRetries: 0 });
	assert.match(results[0].message, /from the environment/);
	assert.equal(evaluator.told[0].token, 'Bearer secret');
});

test('a bad policy stops the start, and says where', async () => {
	for (const [policy, words] of [
		[{ url: 'unix:/x' }, /policy\.url: must be http/],
		[{ url: 'http://no-such-host.invalid:0/' }, /policy\.url: the port must be a number/],
		[{ url: 'http://127.0.0.1:1', fail_mode: 'maybe' }, /policy\.fail_mode: must be closed or open/],
		[{ url: 'http://127.0.0.1:1', timeout_ms: 0 }, /policy\.timeout_ms/],
		[{ url: 'http://127.0.0.1:1', tokens: 'x' }, /policy: unknown key "tokens"/],
	]) {
		const { code, stderr } = await gate.run('policy-bad', {}, ['true'], configured(policy));
		assert.notEqual(code, 0);
		assert.match(stderr, words);
	}
});

test('an evaluator whose name is not known at the start: the service runs, its calls are refused, and served when the name is found', async (t) => {
	const hosts = path.join(scratch, 'hosts'), own = new Gate(mock);
	fs.copyFileSync('/etc/hosts', hosts);
	await start('mount', ['--bind', hosts, '/etc/hosts']).done;
	t.after(async () => {
		await own.stop();
		await start('umount', ['/etc/hosts']).done;
	});
	await own.daemon({ policy: { url: evaluator.url.replace('127.0.0.1', 'evaluator.spendgate.invalid'), timeout_ms: 5000 } });
	await own.logged(/event=unresolved key=policy host=evaluator\.spendgate\.invalid reason="/);
	const call = async () => (await own.agent('openai.mjs', 'unresolved', { 'limit-usd': '1' }, { calls: [chat('mock:tokens=5')], maxRetries: 0 })).results[0];
	assert.match((await call()).message, /evaluator/);
	assert.equal((await mock.bill()).requests, 0);
	fs.appendFileSync(hosts, '127.0.0.1 evaluator.spendgate.invalid\n');
	await own.logged(/event=resolved/);
	assert.equal((await until(async () => { const answer = await call(); return answer.ok && answer; }, 'a call to be served')).text, 'tok '.repeat(5));
	assert.ok(evaluator.hooks().includes('gate-request'));
	assert.equal(own.running.stderr.match(/event=unresolved/g).length, 1);
	assert.doesNotMatch(own.running.stderr, /restart_needed="policy/);
});
