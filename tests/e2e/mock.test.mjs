// SPDX-License-Identifier: Apache-2.0
// The judge itself: the mock provider without spendgate in between, its bill against figures that were computed by hand, and
// each of its faults once. The input of a message is its JSON's bytes divided by four, rounded up.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { chat, message, start, startMock, until } from './lib.mjs';

let mock;
before(async () => (mock = await startMock()));
beforeEach(() => mock.reset());
after(() => mock.stop());

const curl = (body, path = '/v1/chat/completions', more = []) => {
	const host = path.startsWith('/v1/messages') ? 'api.anthropic.com' : 'api.openai.com';
	return start('curl', ['-sS', '-m', '20', '--cacert', mock.ca, '--resolve', `${host}:${mock.port}:127.0.0.1`, '-d', JSON.stringify(body), ...more, `https://${host}:${mock.port}${path}`]);
};
const call = async (body, path, more) => JSON.parse((await curl(body, path, more).done).stdout);
const billed = async () => (await mock.bill()).nanousd;

test('its bill: OpenAI, input 11 at $2.50 and output 5 at $10 a million: 77.5 millionths', async () => {
	const { usage } = await call(chat('mock:tokens=5').body); // 43 bytes of messages
	assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [11, 5]);
	const bill = await mock.bill();
	assert.deepEqual([bill.nanousd, bill.usd, bill.calls, bill.requests], ['77500', '0.0000775', 1, 1]);
	assert.deepEqual([bill.input_tokens, bill.output_tokens], [11, 5]);
});

test('its bill: cached input at half: 15 x 2.50 + 40 x 1.25 + 7 x 10', async () => {
	const { usage } = await call(chat('mock:tokens=7 mock:cached=40').body); // 58 bytes
	assert.deepEqual([usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens], [55, 40]);
	assert.equal(await billed(), '157500');
});

test('its bill: responses at gpt-5: input 4 x 1.25 + 6 x 10', async () => {
	const { usage } = await call({ model: 'gpt-5', input: 'mock:tokens=6', max_output_tokens: 100 }, '/v1/responses'); // 15 bytes
	assert.deepEqual([usage.input_tokens, usage.output_tokens], [4, 6]);
	assert.equal(await billed(), '65000');
});

test('its bill: Anthropic: 23 x 5 + 100 x 0.50 + 50 x 6.25 + 40 x 10 + 5 x 25', async () => {
	const { usage } = await call(message('mock:tokens=5 mock:cached=100 mock:write=50 mock:write1h=40').body, '/v1/messages'); // 89 bytes
	assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.cache_creation_input_tokens], [23, 5, 90]);
	assert.equal(await billed(), '1002500');
});

test("its bill: a region's host costs a tenth more, and fractions of a nano-dollar are rounded up once a call", async () => {
	const body = { ...chat('mock:tokens=0 mock:cached=1').body, model: 'gpt-4o-mini' };
	await call(body); // 57 bytes: 15 x 0.15 + 1 x 0.075
	assert.equal(await billed(), '2325');
	await mock.reset();
	await call(body, undefined, ['-H', 'Host: eu.api.openai.com']); // x 1.1 = 2557.5
	assert.equal(await billed(), '2558');
});

test('its bill: a stream costs what the same call costs plain, and sums up', async () => {
	const { stdout } = await curl(chat('mock:tokens=5', { stream: true }).body).done;
	assert.equal(stdout.match(/"content":"tok "/g).length, 5);
	assert.match(stdout, /data: \[DONE\]\n\n$/);
	assert.doesNotMatch(stdout, /usage/);
	assert.equal(await billed(), '77500');
	const { stdout: counted } = await curl(chat('mock:tokens=5', { stream: true, stream_options: { include_usage: true } }).body).done;
	assert.match(counted, /"choices":\[\],"usage":\{"prompt_tokens":11,"completion_tokens":5/);
	assert.equal(await billed(), '155000');
});

test('fault: slow: nothing for as long as ordered, then the whole answer', async () => {
	const started = performance.now();
	assert.equal((await call(chat('mock:tokens=1 mock:head=300').body)).usage.completion_tokens, 1);
	assert.ok(performance.now() - started >= 300);
	const streamed = performance.now();
	await curl(chat('mock:tokens=5 mock:delay=60', { stream: true }).body).done;
	assert.ok(performance.now() - streamed >= 300);
});

test('fault: 500 three times, then well; only the good one is billed', async () => {
	await mock.faults({ status: 500, times: 3 });
	const codes = [];
	for (let i = 0; i < 4; i++) codes.push((await curl(chat('mock:tokens=5').body, undefined, ['-o', '/dev/null', '-w', '%{http_code}']).done).stdout);
	assert.deepEqual(codes, ['500', '500', '500', '200']);
	assert.equal(await billed(), '77500');
});

test('fault: resets: before anything, after it was billed, in the middle', async () => {
	const before_ = await curl(chat('mock:fault=reset').body).done;
	assert.equal(before_.code, 52, before_.stderr); // curl: nothing came
	assert.equal(await billed(), '0');
	const after_ = await curl(chat('mock:tokens=5 mock:fault=billed-reset').body).done;
	assert.equal(after_.code, 52, after_.stderr);
	assert.notEqual(await billed(), '0');
	await mock.reset();
	const midway = await curl(chat('mock:tokens=50 mock:fault=reset-midway', { stream: true }).body).done;
	assert.equal(midway.code, 18, midway.stderr); // curl: the transfer was cut
	assert.equal(midway.stdout.match(/"content":"tok "/g).length, 3);
	assert.equal((await mock.bill()).output_tokens, 3);
});

test('fault: usage that is missing, negative, no number; the bill is right all the same', async () => {
	assert.equal((await call(chat('mock:tokens=5 mock:fault=no-usage').body)).usage, undefined);
	assert.equal((await call(chat('mock:tokens=5 mock:fault=negative').body)).usage.completion_tokens, -100);
	assert.equal((await call(chat('mock:tokens=5 mock:fault=nan').body)).usage.prompt_tokens, 'NaN');
	const { stdout } = await curl(chat('mock:tokens=5 mock:fault=no-usage', { stream: true, stream_options: { include_usage: true } }).body).done;
	assert.doesNotMatch(stdout, /"usage":\{/);
	const bill = await mock.bill();
	assert.deepEqual([bill.calls, bill.output_tokens], [4, 20]);
});

test('fault: an endless stream: past every limit, until the client leaves; what was sent is billed', async () => {
	const endless = curl(chat('mock:fault=endless', { stream: true, max_tokens: 5 }).body, undefined, ['-N']);
	await until(() => (endless.stdout.match(/"content":"tok "/g)?.length ?? 0) > 200, 'many more tokens than the limit');
	assert.equal(await billed(), '0');
	endless.child.kill();
	await endless.done;
	const bill = await until(async () => {
		const now = await mock.bill();
		return now.calls && now;
	}, 'the bill');
	assert.ok(bill.output_tokens > 200, `${bill.output_tokens}`);
});

test('fault: an answer before the body was sent, and trailers behind one', async () => {
	await mock.faults({ fault: 'early', times: 1 });
	const early = await start('curl', ['-sS', '-m', '20', '--cacert', mock.ca, '--resolve', `api.openai.com:${mock.port}:127.0.0.1`, '-H', 'expect:', '-F', 'file=@/proc/self/exe', '-w', '%{http_code} %{size_upload}', '-o', '/dev/null', `https://api.openai.com:${mock.port}/v1/files`]).done;
	assert.match(early.stdout, /^413 /);
	const { stdout } = await curl(chat('mock:tokens=5 mock:fault=trailers').body, undefined, ['--raw']).done;
	assert.match(stdout, /\r\n0\r\nx-checksum: of-the-answer\r\n\r\n$/i);
});

test('connections that resume an earlier TLS session are counted', async () => {
	const session = `${mock.ca}.session`;
	const connect = (option) => start('sh', ['-c', `printf 'GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -quiet -ign_eof -connect 127.0.0.1:${mock.port} -servername api.openai.com ${option} ${session}`]).done;
	await connect('-sess_out');
	assert.equal((await mock.bill()).resumed, 0);
	await connect('-sess_in');
	assert.equal((await mock.bill()).resumed, 1);
});
