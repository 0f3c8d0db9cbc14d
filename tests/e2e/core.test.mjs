// SPDX-License-Identifier: Apache-2.0
// The main job: unmodified SDKs and clients, metered, and stopped at their cap. Judged by the mock provider's own bill.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, PYTHON, chat, dollars, message, start, startMock, until } from './lib.mjs';

let mock, gate;
before(async () => {
	mock = await startMock();
	gate = new Gate(mock);
});
beforeEach(() => mock.reset());
after(() => mock.stop());

async function assertExact(status) {
	const bill = await mock.bill();
	assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd), `spent ${status.spent_usd}, billed ${bill.usd}`);
	assert.equal(status.held_usd, '0');
	return bill;
}

test('openai: chat, plain and with a tool', async () => {
	const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
	const { results, status, code } = await gate.agent('openai.mjs', 'chat-plain', { 'limit-usd': '1' }, { calls: [chat('mock:tokens=5'), chat('mock:tokens=7 mock:cached=40', { tools })] });
	assert.equal(code, 0);
	assert.equal(results[0].text, 'tok tok tok tok tok ');
	assert.equal(results[1].tool, 'weather');
	assert.equal(status.calls, 2);
	await assertExact(status);
});

test('case 45, 69: openai stream without include_usage: metered, and the agent sees no extra chunk', async () => {
	const orders = [chat('mock:tokens=12', { stream: true }), chat('mock:tokens=12', { stream: true, stream_options: {} }),
		chat('mock:tokens=12', { stream: true, stream_options: { include_usage: false } }), chat('mock:tokens=12', { stream: true, stream_options: { include_usage: true } })];
	const { results, status } = await gate.agent('openai.mjs', 'chat-stream', { 'limit-usd': '1' }, { calls: orders });
	for (const result of results) assert.equal(result.text, `${'tok '.repeat(9)}é\n${'tok '.repeat(2)}`);
	assert.deepEqual(results.map((result) => result.empty), [0, 0, 0, 1]);
	assert.deepEqual(results.map((result) => result.usage?.completion_tokens), [undefined, undefined, undefined, 12]);
	const bill = await assertExact(status);
	assert.deepEqual(bill.seen.map((call) => call.stream_options), Array(4).fill({ include_usage: true }));
});

test('openai: responses, plain and stream', async () => {
	const body = { model: 'gpt-5', input: 'mock:tokens=6', max_output_tokens: 100 };
	const { results, status } = await gate.agent('openai.mjs', 'responses', { 'limit-usd': '1' }, { calls: [{ api: 'responses', body }, { api: 'responses', body: { ...body, stream: true } }] });
	assert.equal(results[0].text, 'tok '.repeat(6));
	assert.equal(results[1].text, 'tok '.repeat(6));
	await assertExact(status);
});

test('anthropic: messages, plain and stream, cache priced (case 61)', async () => {
	const cached = (text) => [{ role: 'user', content: [{ type: 'text', text, cache_control: { type: 'ephemeral', ttl: '1h' } }] }];
	const { results, status } = await gate.agent('anthropic.mjs', 'messages', { 'limit-usd': '10' }, {
		calls: [message('mock:tokens=5'), message('mock:tokens=5', { stream: true }), message('', { messages: cached('mock:tokens=5 mock:cached=100 mock:write=50 mock:write1h=40') })],
	});
	assert.deepEqual(results.map((result) => result.text), Array(3).fill('tok '.repeat(5)));
	await assertExact(status);
});

test('case 16, 22, 25: at the cap the SDK raises its typed error, once, and the provider is not contacted', async () => {
	const { results, status } = await gate.agent('openai.mjs', 'capped', { 'limit-usd': '0.004' }, { calls: [...Array(9).fill(chat('mock:tokens=50')), chat('mock:tokens=50', { stream: true })] });
	const served = results.filter((result) => result.ok).length;
	const bill = await assertExact(status);
	assert.ok(served >= 4 && served < 9, `served ${served}`);
	assert.equal(bill.calls, served);
	assert.equal(bill.requests, served);
	assert.ok(BigInt(bill.nanousd) <= dollars('0.004'));
	for (const refused of results.filter((result) => !result.ok)) {
		assert.equal(refused.name, 'RateLimitError');
		assert.equal(refused.code, 'insufficient_quota');
		assert.equal(refused.status, 429);
	}
	assert.equal(status.refused, results.length - served, 'one attempt for each refusal');
	assert.equal(gate.log().split('\n').filter((line) => line.includes('event=refused agent=capped')).length, results.length - served);
	const audit = fs.readFileSync(path.join(gate.env.SPENDGATE_STATE_DIR, 'ledger/audit.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
	assert.deepEqual(audit.filter(({ event, agent }) => event === 'refused' && agent === 'capped').map(({ reason }) => reason), Array(results.length - served).fill('budget_exceeded'));
	assert.ok(!gate.log().includes('planted-secret'), 'no key in the log');
});

test('anthropic: refused with its typed error', async () => {
	const { results, status } = await gate.agent('anthropic.mjs', 'claude-capped', { 'max-requests': 1 }, { calls: [message('hi'), message('hi')] });
	assert.equal(results[0].ok, true);
	assert.match(results[1].name, /RateLimitError|EnforcedSpendLimitReachedError/);
	assert.equal(results[1].body.error.details.error_code, 'enforced_spend_limit_reached');
	assert.equal(results[1].body.budget.reason, 'rate_limited');
	assert.equal(status.refused, 1);
});

const curl = (agent, caps, ...args) => gate.run(agent, caps, ['curl', '-sS', '-m', '20', ...args]);
const body = (text, more = {}) => JSON.stringify(chat(text, more).body);
const URL_CHAT = 'https://api.openai.com/v1/chat/completions';

test('curl: plain, compressed, chunked upload, Expect, two calls on one connection', async () => {
	const json = ['-H', 'content-type: application/json'];
	const plain = await curl('curl', { 'limit-usd': '1' }, ...json, '-d', body('mock:tokens=4'), URL_CHAT);
	assert.equal(JSON.parse(plain.stdout).usage.completion_tokens, 4);
	const gzip = await curl('curl-gzip', { 'limit-usd': '1' }, '--compressed', ...json, '-d', body('mock:tokens=4 mock:gzip=1'), URL_CHAT);
	assert.equal(JSON.parse(gzip.stdout).usage.completion_tokens, 4);
	assert.equal(gzip.status.estimated, 0);
	const chunked = await curl('curl-chunked', { 'limit-usd': '1' }, ...json, '-H', 'transfer-encoding: chunked', '-d', body('mock:tokens=4'), URL_CHAT);
	assert.equal(JSON.parse(chunked.stdout).usage.completion_tokens, 4);
	const large = await gate.run('curl-large', { 'limit-usd': '10' }, [PYTHON, '-c', `
import json, subprocess
body = json.dumps({"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * 3000000 + " mock:tokens=4"}]})
print(subprocess.run(["curl", "-sS", "-m", "20", "-H", "expect: 100-continue", "-d", "@-", "${URL_CHAT}", "${URL_CHAT}"], input=body, capture_output=True, text=True).stdout)`]);
	assert.equal(large.stdout.match(/"completion_tokens":4/g)?.length, 2, large.stdout.slice(0, 300));
	assert.equal(large.status.calls, 2);
});

test('curl: HEAD, GET and the free paths pass and cost nothing; unknown paths are refused', async () => {
	const head = await curl('free', { 'limit-usd': '0.000001' }, '-I', 'https://api.openai.com/v1/models');
	assert.match(head.stdout, /^HTTP\/1.1 /);
	const models = await curl('free', { 'limit-usd': '0.000001' }, 'https://api.openai.com/v1/models');
	assert.equal(JSON.parse(models.stdout).data[0].id, 'gpt-4o');
	const count = await curl('free', { 'limit-usd': '0.000001' }, '-d', body('x'), 'https://api.anthropic.com/v1/messages/count_tokens');
	assert.equal(JSON.parse(count.stdout).input_tokens, 7);
	const upload = await curl('free', { 'limit-usd': '0.000001' }, '-F', 'file=@/etc/services', 'https://api.openai.com/v1/files');
	assert.equal(JSON.parse(upload.stdout).id, 'file-mock');
	const before_ = (await mock.bill()).requests;
	for (const path of ['/v1/videos', '/v1/threads/t/runs', '/v1//chat/../embeddings', '/v1/chat/completions%2f']) {
		const unknown = await curl('free', { 'limit-usd': '1' }, '--path-as-is', '-w', '%{http_code}', '-o', '/dev/null', '-d', body('x'), `https://api.openai.com${path}`);
		assert.equal(unknown.stdout, '403', path);
	}
	assert.equal((await mock.bill()).requests, before_, 'the provider was not contacted');
});

test('a call with a path that a lenient server reads as a metered one is metered', async () => {
	const { stdout, status } = await curl('lenient', { 'limit-usd': '0.000001' }, '--path-as-is', '-w', '%{http_code}', '-o', '/dev/null', '-d', body('x'), 'https://api.openai.com//v1/chat/%63ompletions');
	assert.deepEqual([stdout, status.refused], ['402', 1], 'as the budget has it: neither free nor unknown');
	assert.equal((await mock.bill()).requests, 0);
});

test('case 44: unknown model: refused by default, with the remedy', async () => {
	const { results, status } = await gate.agent('openai.mjs', 'unknown-model', { 'limit-usd': '1' }, { calls: [chat('x', { model: 'gpt-9-experimental' })] });
	assert.equal(results[0].status, 403);
	assert.match(results[0].message, /no price for model "gpt-9-experimental"/);
	assert.equal(status.refused, 1);
	assert.equal((await mock.bill()).calls, 0);
});

const PYTHON_CALL = {
	requests: `import requests, json, sys
r = requests.post("${URL_CHAT}", json=json.loads(sys.argv[1]))
print(json.dumps([r.status_code, r.json()]))`,
	httpx: `import httpx, json, sys
r = httpx.post("${URL_CHAT}", json=json.loads(sys.argv[1]))
print(json.dumps([r.status_code, r.json()]))`,
};

for (const library of ['requests', 'httpx']) {
	test(`python ${library}: plain, and refused with 402 (no Stainless SDK)`, async () => {
		const ok = await gate.run(`py-${library}`, { 'max-requests': 1 }, [PYTHON, '-c', PYTHON_CALL[library], body('mock:tokens=4')]);
		assert.equal(JSON.parse(ok.stdout || '[]')[1]?.usage.completion_tokens, 4, ok.stderr);
		await assertExact(ok.status);
		await mock.reset();
		const refused = await gate.run(`py-${library}`, { 'max-requests': 1 }, [PYTHON, '-c', PYTHON_CALL[library], body('mock:tokens=4')]);
		const [status, answer] = JSON.parse(refused.stdout);
		assert.equal(status, 402);
		assert.equal(answer.budget.reason, 'rate_limited');
		assert.equal(answer.budget.max_requests, 1);
		const bill = await mock.bill();
		assert.deepEqual([bill.connections, bill.requests], [0, 0], 'case 25: the provider is not contacted');
	});
}

test('python httpx: stream', async () => {
	const { stdout, status } = await gate.run('py-stream', { 'limit-usd': '1' }, [PYTHON, '-c', `import httpx, sys
with httpx.stream("POST", "${URL_CHAT}", content=sys.argv[1], headers={"content-type": "application/json"}) as r:
    print(sum(1 for line in r.iter_lines() if line.startswith("data: ")))`, body('mock:tokens=6', { stream: true })]);
	assert.equal(stdout.trim(), '9'); // role, 6 tokens, finish, [DONE]
	await assertExact(status);
});

test('exit status, signals and unknown commands pass through', async () => {
	assert.equal((await gate.run('exit', {}, ['sh', '-c', 'exit 7'])).code, 7);
	assert.equal((await gate.run('exit', {}, ['sh', '-c', 'kill -9 $$'])).code, 137);
	assert.equal((await gate.run('exit', {}, ['/no/such/command'])).code, 127);
	assert.equal((await gate.run('exit', {}, ['/etc/passwd'])).code, 126);
	const running = gate.begin('exit', {}, ['sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done']);
	await until(() => running.stdout.includes('ready'), 'the command');
	running.child.kill('SIGTERM');
	assert.equal((await running.done).code, 9);
});

test('the command runs as the user who called sudo, with the CA merged into what that user had set', async () => {
	const own = new Gate(mock, { SUDO_UID: '65534', SUDO_GID: '65534', HOME: '/root', USER: 'root', LOGNAME: 'somebody', REQUESTS_CA_BUNDLE: mock.ca });
	const { stdout } = await own.run('invoker', {}, ['sh', '-c', 'id -u; id -g; grep -c BEGIN "$REQUESTS_CA_BUNDLE"; cat "$SSL_CERT_FILE" | wc -l; grep -c BEGIN "$NODE_EXTRA_CA_CERTS"; echo "$HOME $USER $LOGNAME"']);
	const [uid, gid, merged, bundle, extra] = stdout.trim().split('\n').map(Number);
	assert.equal(stdout.trim().split('\n').at(-1), '/nonexistent nobody somebody', 'its home, and what was set on purpose');
	assert.deepEqual([uid, gid, merged, extra], [65534, 65534, 2, 1]);
	assert.ok(bundle > 1000, 'the system\'s certificates and ours');
	for (const bad of [{ SUDO_UID: 'abc', SUDO_GID: '5' }, { SUDO_UID: '99999999999', SUDO_GID: '5' }, { SUDO_UID: '4294967295', SUDO_GID: '5' }, { SUDO_UID: '4200000', SUDO_GID: '' }]) {
		const refused = await new Gate(mock, { ...own.env, ...bad }).run('invoker', {}, ['id']);
		assert.deepEqual([refused.code, refused.stdout], [70, ''], 'never root for want of a number');
		assert.match(refused.stderr, /SUDO_UID and SUDO_GID/);
	}
	const secret = await new Gate(mock, { REQUESTS_CA_BUNDLE: '/etc/shadow' }).run('invoker', {}, ['sh', '-c', 'grep -c root: "$REQUESTS_CA_BUNDLE"; grep -c BEGIN "$REQUESTS_CA_BUNDLE"']);
	assert.deepEqual(secret.stdout.trim().split('\n'), ['0', '1'], 'only certificates are copied');
});

test('bad options and bad budgets are told with the place', async () => {
	const bad = [[['--limit-usd', '-1'], /limit-usd must be > 0/], [['--limit-usd', '1', '--window', 'soon'], /window must be a positive duration/],
		[['--limit-usd', 'abc'], /limit-usd must be > 0: "abc" is no number of dollars/], [['--max-requests', 'many'], /must be a whole number/], [['--origin', 'nowhere'], /HOST=ADDR:PORT/], [['--upstream-ca', '/no/such/file'], /no\/such\/file/]];
	for (const [flags, pattern] of bad) {
		const result = await gate.run('bad', {}, ['true'], flags);
		assert.notEqual(result.code, 0);
		assert.match(result.stderr, pattern);
	}
});

test('the mock is what it says: the SDK against it directly', async () => {
	const direct = await start('curl', ['-sS', '--cacert', mock.ca, '--resolve', `api.openai.com:${mock.port}:127.0.0.1`, '-d', body('mock:tokens=4'), `https://api.openai.com:${mock.port}/v1/chat/completions`]).done;
	assert.equal(JSON.parse(direct.stdout).usage.completion_tokens, 4);
});
