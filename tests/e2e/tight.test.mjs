// SPDX-License-Identifier: Apache-2.0
// What becomes of calls that do not fit whole (docs/budgets.md: wait, on_tight), judged by the mock provider's bill: cases 66, 67, 70, 71.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, chat, dollars, message, startMock } from './lib.mjs';

let mock, gate;
before(async () => {
	mock = await startMock();
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

// Streams of some 16 s at a token each 20 ms, that nothing but their own end would stop.
const slow = (make, more = {}) => make('mock:tokens=800 mock:delay=20', { stream: true, ...more });
const KINDS = {
	chat: { agent: 'openai.mjs', cap: '0.06', call: slow(chat, { max_tokens: 4000, stream_options: { include_usage: true } }) },
	responses: { agent: 'openai.mjs', cap: '0.06', call: { api: 'responses', body: { model: 'gpt-4o', max_output_tokens: 4000, stream: true, input: 'mock:tokens=800 mock:delay=20' } } },
	messages: { agent: 'anthropic.mjs', cap: '0.03', call: { body: { ...slow(message).body, model: 'claude-haiku-4-5', max_tokens: 4000 } } },
};

for (const [kind, { agent, cap, call }] of Object.entries(KINDS))
	test(`case 67: on_tight cut, ${kind}: streams that cross the cap end cleanly for the SDK, and the provider bills no more than it`, async () => {
		// Room for the whole of one: others get in when it has shown its pace, and all run on slices.
		const { results, status } = await gate.agent(agent, `c67-${kind}`, { 'limit-usd': cap, 'on-tight': 'cut' }, { parallel: 3, maxRetries: 0, calls: Array(3).fill(call) });
		const bill = await mock.bill();
		assert.ok(results.every((result) => result.ok), JSON.stringify(results));
		assert.equal(bill.calls, 3);
		assert.ok(results.some((result) => result.chunks > 100 && result.chunks < 800 && /^(length|max_output_tokens|max_tokens)$/.test(result.finish)), JSON.stringify(results.map((result) => [result.chunks, result.finish])));
		assert.match(gate.log(), /event=cut .*clean=yes/);
		assert.ok(BigInt(bill.nanousd) <= dollars(cap), bill.usd);
		assert.ok(dollars(status.spent_usd) >= BigInt(bill.nanousd), 'what is charged covers what is billed');
		assert.ok(dollars(status.spent_usd) <= dollars(cap), status.spent_usd);
		assert.equal(status.held_usd, '0');
	});

test('case 70: on_tight cut, 200 parallel streams on a cap worth 1.5 of them, of a provider that runs ahead as fast as it can', async () => {
	const call = chat('mock:tokens=max', { stream: true, max_tokens: 1000 });
	const { results } = await gate.agent('openai.mjs', 'c70-cut', { 'limit-usd': '0.015', 'on-tight': 'cut', wait: '20s' }, { parallel: 200, maxRetries: 0, calls: Array(200).fill(call) });
	const bill = await mock.bill();
	assert.ok(results.some((result) => result.ok));
	assert.ok(BigInt(bill.nanousd) <= dollars('0.015'), bill.usd);
});

test('case 71: on_tight clamp, 50 agents and no output limit anywhere: no refusal before 99 % of the cap is spent', async () => {
	const cap = dollars('1');
	const call = { api: 'chat', body: { model: 'gpt-4.1', messages: [{ role: 'user', content: 'mock:tokens=2000 mock:head=20' }] } };
	const { results } = await gate.agent('openai.mjs', 'c71', { 'limit-usd': '1', 'on-tight': 'clamp' }, { parallel: 50, maxRetries: 0, calls: Array(130).fill(call) });
	const bill = await mock.bill();
	const refused = results.filter((result) => !result.ok);
	assert.ok(refused.length > 0, 'the cap was reached');
	for (const { status, message: said } of refused) {
		const [, spent] = /exhausted: \$([\d.]+) of/.exec(said) ?? assert.fail(`${status} ${said}`);
		assert.ok(dollars(spent) * 100n >= cap * 99n, `refused at ${spent}`);
	}
	assert.ok(BigInt(bill.nanousd) <= cap, bill.usd);
	assert.ok(BigInt(bill.nanousd) * 100n >= cap * 99n, bill.usd);
});
