// SPDX-License-Identifier: Apache-2.0
// `spendgate price update`: new prices for a running service, checked as a whole, kept over a restart.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { build, chat, dollars, Gate, scratch, start, startMock, until } from './lib.mjs';

let mock;
let gate;

before(async () => {
	mock = await startMock();
	gate = new Gate(mock);
	await gate.daemon();
});
after(async () => {
	await gate?.stop();
	await mock?.stop();
});

const table = (price) => ({ unit: 'USD per 1,000,000 tokens', models: [{ provider: 'openai', model: 'gpt-own', input: price, output: price, context_window: 1000, max_output: 100 }] });

async function update(content) {
	const file = path.join(scratch, 'new-prices.json');
	fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	return start(path.join(build, 'spendgate'), ['price', 'update', file], { env: gate.env }).done;
}

async function call(agent) {
	const { results, status } = await gate.agent('openai.mjs', agent, { 'limit-usd': '1' }, { calls: [chat('mock:tokens=10', { model: 'gpt-own' })] });
	return { failed: !results[0].ok, tokens: BigInt((results[0].usage?.prompt_tokens ?? 0) + (results[0].usage?.completion_tokens ?? 0)), spent: dollars(status.spent_usd) };
}

test('a new table is in force for the next call; a bad one changes nothing; a restart keeps it', async () => {
	assert.ok((await call('before')).failed, 'no price: refused');
	assert.deepEqual(await update(table('1000')), { code: 0, stdout: '', stderr: '' });
	const first = await call('first');
	assert.equal(first.failed, false);
	assert.equal(first.spent, first.tokens * 1000000n, 'a thousandth of a dollar a token');
	for (const bad of ['{"models": [', { models: [{ provider: 'openai', model: 'gpt-own', input: 1 }] }, '[]']) {
		const refused = await update(bad);
		assert.equal(refused.code, 65, refused.stderr);
		assert.match(refused.stderr, /new-prices\.json/);
	}
	const second = await call('second');
	assert.equal(second.spent, second.tokens * 1000000n);
	assert.equal((await update(table('2000'))).code, 0);
	const third = await call('third');
	assert.equal(third.spent, third.tokens * 2000000n);
	await gate.logged(/event=prices_updated/);
	const audit = await start(path.join(build, 'spendgate'), ['audit'], { env: gate.env }).done;
	assert.match(audit.stdout, /configured/);
	const slow = gate.agent('openai.mjs', 'slow', { 'limit-usd': '5' }, { calls: [chat('mock:tokens=10 mock:delay=300', { model: 'gpt-own', stream: true, stream_options: { include_usage: true } })] });
	await until(async () => /"held_usd": ?"(?!0")/.test((await start(path.join(build, 'spendgate'), ['status', '--json'], { env: gate.env }).done).stdout), 'the slow call to be held for');
	assert.equal((await update(table('3000'))).code, 0);
	const { results, status } = await slow;
	assert.ok(results[0].ok);
	assert.equal(dollars(status.spent_usd), BigInt(results[0].usage.prompt_tokens + results[0].usage.completion_tokens) * 2000000n, 'by the table that it was held for by');
	assert.equal((await update(table('2000'))).code, 0);
	gate.running.child.kill('SIGTERM');
	await gate.running.done;
	await gate.daemon();
	const fourth = await call('fourth');
	assert.equal(fourth.spent, fourth.tokens * 2000000n, 'after a restart');
});
