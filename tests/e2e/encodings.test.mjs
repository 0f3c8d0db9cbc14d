// SPDX-License-Identifier: Apache-2.0
// Requests that come compressed: read, and sent on as they are; where usage has to be asked for in the agent's place, without
// their coding.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chat, dollars, Gate, startMock } from './lib.mjs';

let mock;
let gate;

before(async () => {
	mock = await startMock();
	gate = new Gate(mock);
});
after(() => mock?.stop());

test('a compressed streaming request that does not ask for usage: usage is asked for, the bill is exact', async () => {
	await mock.reset();
	const orders = ['gzip', 'deflate', 'br', 'zstd'].map((coding) => ({ coding, body: chat(`mock:tokens=9 ${coding} `.repeat(400), { stream: true }).body }));
	const { results, status } = await gate.agent('encoded.mjs', 'encoded', { 'limit-usd': '1' }, orders);
	const bill = await mock.bill();
	assert.deepEqual(results.map((result) => result.status), [200, 200, 200, 200]);
	for (const { text } of results) {
		assert.ok(!text.includes('"usage":{'), 'the agent sees no usage chunk');
		assert.ok(text.includes('data: [DONE]'));
	}
	assert.deepEqual(bill.seen.map((call) => call.stream_options), Array(4).fill({ include_usage: true }));
	assert.equal(dollars(status.spent_usd), dollars(bill.usd));
	assert.equal(status.estimated, 0);
});

test('a compressed request that needs no change goes on as it came', async () => {
	await mock.reset();
	const { results, status } = await gate.agent('encoded.mjs', 'encoded-2', { 'limit-usd': '1' }, [{ coding: 'gzip', body: chat('mock:tokens=9').body }]);
	const bill = await mock.bill();
	assert.equal(results[0].status, 200, results[0].text);
	assert.equal(dollars(status.spent_usd), dollars(bill.usd));
});

test('a bomb is refused with 400 before it is unpacked; a large text is decoded in many turns, over HTTP/1.1 and HTTP/2', async () => {
	await mock.reset();
	const large = { body: chat('mock:tokens=9', { stream: true }).body, random: 2 << 20 };
	const { results, status } = await gate.agent('encoded.mjs', 'bomb', { 'limit-usd': '1000' }, [
		...['gzip', 'br', 'zstd'].map((coding) => ({ coding, body: chat('nothing ').body, times: 1 << 19 })),
		{ coding: 'gzip', ...large },
	]);
	assert.deepEqual(results.map((result) => result.status), [400, 400, 400, 200], results.map((result) => result.text.slice(0, 500)).join('\n'));
	for (const { text } of results.slice(0, 3)) assert.match(text, /Content-Encoding expands it more than 200 times/);
	const headers = { 'content-encoding': 'gzip' };
	const calls = Array(3).fill({ path: '/v1/chat/completions', headers, gzip: true, ...large });
	const many = await gate.agent('http2.mjs', 'bomb-2', { 'limit-usd': '1000' }, { origin: 'https://api.openai.com', calls });
	assert.deepEqual(many.results.results.map((result) => result.status), [200, 200, 200], JSON.stringify(many.results).slice(0, 500));
	const bill = await mock.bill();
	assert.equal(bill.seen.length, 4);
	assert.deepEqual(bill.seen.map((call) => call.stream_options), Array(4).fill({ include_usage: true }));
	assert.equal(dollars(status.spent_usd) + dollars(many.status.spent_usd), dollars(bill.usd));
});
