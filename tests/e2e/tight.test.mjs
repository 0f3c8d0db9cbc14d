// SPDX-License-Identifier: Apache-2.0
// What becomes of calls that do not fit whole (docs/budgets.md: wait, on_tight), judged by the mock provider's bill: cases 66, 67, 70, 71.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, chat, dollars, here, message, startMock } from './lib.mjs';

let mock, gate;
before(async () => {
	mock = await startMock(['--tokenizer', here]);
	gate = new Gate(mock);
});
beforeEach(() => mock.reset());
after(() => mock.stop());

const billed = async () => BigInt((await mock.bill()).nanousd);

test('wait: parallel calls near the cap are served one after another', async () => {
	// Each holds some 0.011; all of them together cost 0.006.
	const calls = Array(30).fill(chat('mock:tokens=10 mock:head=20', { max_tokens: 1000 }));
	const { results, status } = await gate.agent('openai.mjs', 'waits', { 'limit-usd': '0.02' }, { parallel: 30, maxRetries: 0, calls });
	assert.equal(results.filter((result) => result.ok).length, 30, JSON.stringify(results.find((result) => !result.ok)));
	assert.equal(status.refused, 0);
	assert.equal(dollars(status.spent_usd), await billed());
});

test('wait: 0s, and a call that never fits, are refused at once', async () => {
	const calls = Array(10).fill(chat('mock:tokens=10 mock:head=2000', { max_tokens: 1000 }));
	const unwilling = await gate.agent('openai.mjs', 'no-wait', { 'limit-usd': '0.02', wait: '0s' }, { parallel: 10, maxRetries: 0, calls });
	assert.equal(unwilling.results.filter((result) => result.ok).length, 1);
	const started = Date.now();
	const large = await gate.agent('openai.mjs', 'too-large', { 'limit-usd': '0.02', wait: '10m' }, { maxRetries: 0, calls: [chat('a', { max_tokens: 16000 })] });
	assert.equal(large.results[0].status, 429);
	assert.ok(Date.now() - started < 60000, 'it did not wait');
});

test('wait: who has waited in vain is refused; who leaves does not go on', async () => {
	const long = chat('mock:tokens=10 mock:head=4000', { max_tokens: 1000 });
	const { results } = await gate.agent('openai.mjs', 'in-vain', { 'limit-usd': '0.013', wait: '500ms' }, { parallel: 2, maxRetries: 0, calls: [long, long] });
	assert.deepEqual(results.map((result) => result.ok).sort(), [false, true]);
	await mock.reset();
	const leaver = { ...chat('mock:tokens=10', { max_tokens: 1000 }), abortAfterMs: 700 };
	const left = await gate.agent('openai.mjs', 'leaves', { 'limit-usd': '0.013' }, { parallel: 2, maxRetries: 0, calls: [chat('mock:tokens=10 mock:head=4000', { max_tokens: 1000 }), { ...leaver, waitMs: 1500 }] });
	assert.equal(left.results[0].ok, true);
	assert.equal(left.results[1].ok, false);
	assert.equal((await mock.bill()).calls, 1, 'the call of the agent that left was not sent');
	assert.equal(left.status.held_usd, '0');
});

test('wait: an Anthropic stream holds what it read, once that is told, and no longer what its bytes could be', async () => {
	// 20 KB could be 20,000 tokens, and are 5,000: each is held for at 0.127, and at 0.043 once that is told.
	const prompt = 'The words of a long and plain prompt, over and over. '.repeat(380);
	const stream = (said) => message(`${said} ${prompt}`, { stream: true, max_tokens: 500 });
	const { results, status } = await gate.agent('anthropic.mjs', 'told', { 'limit-usd': '0.2', wait: '2s' }, { parallel: 2, maxRetries: 0, calls: [stream('mock:tokens=400 mock:delay=20'), stream('mock:tokens=5')] });
	assert.deepEqual(results.map((result) => result.ok), [true, true], JSON.stringify(results));
	assert.equal(dollars(status.spent_usd), await billed());
	assert.equal(status.held_usd, '0');
});

test('wait: a call that only another budget counts goes by those that wait', async () => {
	const own = new Gate(mock);
	const cap = (name, model) => ({ name, scope: 'host', models: [model], limit_usd: '0.013', window: '1h' });
	await own.daemon({ workers: 1, budgets: [cap('tight', 'gpt-4o'), cap('other', 'gpt-4o-mini')] });
	try {
		const long = chat('mock:tokens=10 mock:head=6000', { max_tokens: 1000 });
		const calls = [long, { ...chat('mock:tokens=10', { max_tokens: 1000 }), waitMs: 500 }, { ...chat('mock:tokens=10', { model: 'gpt-4o-mini' }), waitMs: 1000, abortAfterMs: 4000 }];
		const { results } = await own.agent('openai.mjs', 'goes-by', {}, { parallel: 3, maxRetries: 0, calls });
		assert.deepEqual(results.map((result) => result.ok), [true, true, true], JSON.stringify(results));
	} finally {
		await own.stop();
	}
});

test('case 66: on_tight clamp, half a call left: served with a lower limit, never above the cap', async () => {
	for (const [name, make] of [['openai.mjs', (more) => chat('mock:tokens=max', more)], ['anthropic.mjs', (more) => ({ ...message('mock:tokens=max'), body: { ...message('mock:tokens=max').body, model: 'claude-haiku-4-5', ...more } })]]) {
		await mock.reset();
		const { results, status } = await gate.agent(name, `c66-${name}`, { 'limit-usd': '0.015', 'on-tight': 'clamp' }, { maxRetries: 0, calls: [make({ max_tokens: 1000 }), make({ max_tokens: 4000 }), make({ max_tokens: 4000 })] });
		assert.equal(results[0].ok, true);
		assert.equal(results[1].ok, true, JSON.stringify(results[1]));
		const bill = await mock.bill();
		assert.ok(BigInt(bill.nanousd) <= dollars('0.015'), bill.usd);
		assert.ok(BigInt(bill.nanousd) >= (dollars('0.015') * 8n) / 10n, `${bill.usd}: the rest was used`);
		assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd));
	}
});

test('texts are counted where their bytes would not fit, for chat and responses; a prompt that is too long is refused', async () => {
	// 64 KB of words, some 14,000 tokens: 0.035 USD, where the bytes would be 0.16.
	const prompt = 'The words of a long and plain prompt, over and over. '.repeat(1200);
	const ask = { chat: (text) => chat(text, { max_tokens: 16 }), responses: (input) => ({ api: 'responses', body: { model: 'gpt-4o', max_output_tokens: 16, input } }) };
	for (const [kind, make] of Object.entries(ask)) {
		await mock.reset();
		const { results, status } = await gate.agent('openai.mjs', `texts-${kind}`, { 'limit-usd': '0.045' }, { maxRetries: 0, calls: [make(prompt), make(prompt)] });
		assert.equal(results[0].ok, true, JSON.stringify(results[0]));
		assert.equal(results[1].status, 429);
		assert.equal(dollars(status.spent_usd), await billed());
		assert.ok(await billed() > dollars('0.03'), 'the prompt is what costs');
	}
});

// Streams of some 15 s, that nothing but their own end would stop. Where tokens are counted, what is charged is near what is billed.
const slow = 'mock:tokens=2600 mock:delay=4';
const KINDS = {
	chat: { agent: 'openai.mjs', cap: '0.06', exact: true, call: chat(slow, { stream: true, max_tokens: 4000, stream_options: { include_usage: true } }) },
	responses: { agent: 'openai.mjs', cap: '0.06', exact: true, call: { api: 'responses', body: { model: 'gpt-4o', max_output_tokens: 4000, stream: true, input: slow } } },
	messages: { agent: 'anthropic.mjs', cap: '0.03', call: message('mock:tokens=800 mock:delay=20', { stream: true, model: 'claude-haiku-4-5', max_tokens: 4000 }) },
};

for (const [kind, { agent, cap, exact, call }] of Object.entries(KINDS))
	test(`case 67: on_tight cut, ${kind}: streams that cross the cap end cleanly for the SDK, and the provider bills no more than it`, async () => {
		// Room for the whole of one: others get in when it has shown its pace, and all run on slices.
		const { results, status } = await gate.agent(agent, `c67-${kind}`, { 'limit-usd': cap, 'on-tight': 'cut' }, { parallel: 3, maxRetries: 0, calls: Array(3).fill(call) });
		const bill = await mock.bill();
		assert.ok(results.every((result) => result.ok), JSON.stringify(results));
		assert.equal(bill.calls, 3);
		assert.ok(results.some((result) => result.chunks > 100 && result.chunks < (exact ? 2500 : 800) && /^(length|max_output_tokens|max_tokens)$/.test(result.finish)), JSON.stringify(results.map((result) => [result.chunks, result.finish])));
		assert.match(gate.log(), /event=cut .*clean=yes/);
		assert.ok(BigInt(bill.nanousd) <= dollars(cap), bill.usd);
		assert.ok(dollars(status.spent_usd) >= BigInt(bill.nanousd), 'what is charged covers what is billed');
		assert.ok(dollars(status.spent_usd) <= dollars(cap), status.spent_usd);
		if (exact) assert.ok(dollars(status.spent_usd) * 2n <= BigInt(bill.nanousd) * 3n, `charged ${status.spent_usd}, billed ${bill.usd}`);
		assert.equal(status.held_usd, '0');
	});

test('case 70: on_tight cut, 200 parallel streams on a cap worth 1.5 of them, of a provider that runs ahead as fast as it can', async () => {
	const call = chat('mock:tokens=max', { stream: true, max_tokens: 1000 });
	const { results } = await gate.agent('openai.mjs', 'c70-cut', { 'limit-usd': '0.015', 'on-tight': 'cut', wait: '20s' }, { parallel: 200, maxRetries: 0, calls: Array(200).fill(call) });
	const bill = await mock.bill();
	assert.ok(results.some((result) => result.ok));
	assert.ok(BigInt(bill.nanousd) <= dollars('0.015'), bill.usd);
});

// Nobody limits anything: each call is held at 32,768 tokens of output, 0.27 USD. Under `deny` the cap has to be worth 100 of these,
// under `clamp` nothing of the kind. Under `cut` it ends while 50 streams run, each of which is charged some 200 tokens that it was
// perhaps not billed for.
const gpt41 = (said, more = {}) => ({ api: 'chat', body: { model: 'gpt-4.1', messages: [{ role: 'user', content: said }], ...more } });
const whole = (tokens, count) => Array(count).fill(gpt41(`mock:tokens=${tokens} mock:head=20`));
const CASE_71 = {
	deny: { cap: '27.5', calls: whole(30000, 125) },
	clamp: { cap: '1', calls: whole(2000, 130) },
	cut: { cap: '20', calls: [...whole(30000, 82), ...Array(60).fill(gpt41('mock:tokens=2000 mock:per=16 mock:delay=40', { stream: true })), ...whole(30000, 10)] },
};

for (const [onTight, { cap, calls }] of Object.entries(CASE_71))
	test(`case 71: on_tight ${onTight}, 50 agents and no output limit anywhere: no refusal before 99 % of the cap is spent`, async () => {
		const { results } = await gate.agent('openai.mjs', `c71-${onTight}`, { 'limit-usd': cap, 'on-tight': onTight }, { parallel: 50, maxRetries: 0, calls });
		const bill = await mock.bill();
		const refused = results.filter((result) => !result.ok);
		assert.ok(refused.length > 0, 'the cap was reached');
		for (const { status, message: said } of refused) {
			const [, spent] = /exhausted: \$([\d.]+) of/.exec(said) ?? assert.fail(`${status} ${said}`);
			assert.ok(dollars(spent) * 100n >= dollars(cap) * 99n, `refused at ${spent}`);
		}
		assert.ok(BigInt(bill.nanousd) <= dollars(cap), bill.usd);
		assert.ok(BigInt(bill.nanousd) * 100n >= dollars(cap) * 99n, bill.usd);
		assert.equal(/event=cut /.test(gate.log()), onTight === 'cut');
	});
