// SPDX-License-Identifier: Apache-2.0
// Sessions over a WebSocket, by the real SDKs: each of their turns is held for and billed, and a session ends when the budget does.
// The mock's own bill is the judge.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { build, directories, dollars, here, scratch, start, startMock } from './lib.mjs';

const HOSTS = ['api.openai.com', 'generativelanguage.googleapis.com'];
let mock;
let counter = 0;

before(async () => (mock = await startMock(['--host', 'generativelanguage.googleapis.com'])));
beforeEach(() => mock.reset());
after(() => mock?.stop());

async function run(kind, orders, limit = '20', more = []) {
	const statusFile = path.join(scratch, `websocket-${++counter}.json`);
	const origins = HOSTS.flatMap((host) => ['--origin', `${host}=127.0.0.1:${mock.port}`]);
	const flags = ['run', '--agent', `ws-${kind}`, '--limit-usd', limit, ...more, ...origins, '--upstream-ca', mock.ca, '--status-file', statusFile];
	const result = await start(path.join(build, 'spendgate'), [...flags, '--', 'node', path.join(here, 'agents/websocket.mjs'), kind, JSON.stringify({ turns: [], ...orders })], { env: { ...process.env, ...directories() }, cwd: here }).done;
	assert.ok(result.stdout, result.stderr);
	return { seen: JSON.parse(result.stdout), status: JSON.parse(fs.readFileSync(statusFile)), stderr: result.stderr };
}

// What was charged is what the provider billed, to the billionth.
async function agrees({ status }) {
	const bill = await mock.bill();
	assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd), JSON.stringify({ status, bill }));
	assert.equal(dollars(status.held_usd), 0n);
	return bill;
}

const KINDS = ['realtime', 'responses', 'live'];

for (const kind of KINDS) {
	test(`${kind}: several turns in one session, each metered`, async () => {
		const result = await run(kind, { turns: ['mock:tokens=3', 'mock:tokens=7 mock:fragment=3', 'mock:tokens=5'], chain: true });
		assert.deepEqual(result.seen.errors, []);
		assert.deepEqual(result.seen.texts.map((text) => text.split(' ').length - 1), [3, 7, 5]);
		assert.equal(result.seen.usage.length, 3);
		assert.equal(result.seen.close.code, 1000);
		const bill = await agrees(result);
		assert.deepEqual([bill.calls, bill.output_tokens, result.status.calls, result.status.estimated, result.status.refused], [3, 15, 3, 0, 0]);
		assert.equal(bill.seen.find((call) => call.upgrade).extensions, undefined, 'no compression was offered');
	});

	test(`${kind}: a session is refused when there is nothing left`, async () => {
		const { seen, status } = await run(kind, { turns: ['hello'] }, '0.000000001');
		assert.equal(seen.usage.length, 0);
		assert.match(JSON.stringify([seen.errors, seen.close]), /429|402|403|1008/);
		assert.equal((await mock.bill()).calls, 0);
		assert.ok(status.refused >= 1 && status.refused <= 2, `refused ${status.refused}`);
	});
}

test('live: a turn of text and speech, its price computed by hand: 7 x 0.50 + 8 x 2 + 100 x 12', async () => {
	const result = await run('live', { turns: ['mock:tokens=8 mock:audio=100'] }); // 28 bytes
	assert.equal((await agrees(result)).nanousd, '1219500');
});

test('realtime: text, cached text and speech, its price computed by hand: 31 x 4 + 40 x 0.40 + 3 x 16 + 100 x 64', async () => {
	const result = await run('realtime', { turns: ['mock:tokens=3 mock:audio=100 mock:cached=40'], limit: 200 }); // 121 bytes of items
	assert.equal((await agrees(result)).nanousd, '6588000');
});

test('realtime: the budget ends within a session: an error event, then 1008', async () => {
	// A turn costs some 0.26, and is held for at what was said so far and 4,096 out.
	const turns = Array.from({ length: 400 }, () => 'mock:tokens=50 mock:audio=4000');
	const result = await run('realtime', { turns, limit: 4096 }, '3');
	const { seen, status } = result;
	assert.equal(seen.close.code, 1008);
	assert.match(seen.close.reason, /insufficient_quota/);
	assert.deepEqual([seen.errors[0].code, seen.budget], ['insufficient_quota', 'run']);
	assert.ok(seen.usage.length > 2, `${seen.usage.length} turns`);
	const bill = await agrees(result);
	assert.ok(BigInt(bill.nanousd) <= dollars('3'));
	assert.equal(status.refused, 1, 'refused once');
	assert.equal(bill.seen.filter((call) => call.upgrade).length, 1, 'no SDK connected again');
});

test('realtime: turns of text are held for at what was said, not at the context window', async () => {
	// 32,000 tokens of sound would be a dollar.
	const result = await run('realtime', { turns: Array(20).fill('mock:tokens=50') }, '0.12');
	assert.deepEqual([result.seen.errors, result.seen.usage.length], [[], 20]);
	assert.equal((await agrees(result)).calls, 20);
});

test('responses: the budget ends within a session, and the SDK that may reconnect does not', async () => {
	const turns = Array.from({ length: 400 }, () => 'mock:tokens=max');
	const result = await run('responses', { turns, limit: 2000, reconnect: true, stopAtError: true }, '0.1');
	const { seen, status } = result;
	assert.equal(seen.close.code, 1008);
	assert.equal(seen.errors[0].code, 'insufficient_quota');
	assert.equal(seen.reconnects, undefined);
	assert.ok(seen.usage.length >= 3, `${seen.usage.length} turns`);
	const bill = await agrees(result);
	assert.ok(BigInt(bill.nanousd) <= dollars('0.1') && BigInt(bill.nanousd) > dollars('0.06'));
	assert.deepEqual([status.refused, bill.calls, bill.seen.length], [1, seen.usage.length, 1]);
});

test('live: the budget ends within a session: 1008, with the reason', async () => {
	const turns = Array.from({ length: 400 }, () => 'mock:tokens=50 mock:audio=5000');
	const result = await run('live', { turns, model: 'gemini-3.1-flash-live-preview' }, '1.5');
	const { seen, status } = result;
	assert.deepEqual([seen.close.code, status.refused], [1008, 1]);
	assert.match(seen.close.reason, /insufficient_quota/);
	assert.ok(seen.usage.length > 1);
	await agrees(result);
});

test('realtime: turns that the provider starts by itself, and what it writes down, are metered', async () => {
	const session = { type: 'realtime', audio: { input: { transcription: { model: 'gpt-4o-transcribe' } } } };
	const result = await run('realtime', { session, turns: ['audio:aaaaaaaaaaaaaaaaaaaaaaaa,bbbbbbbbbbbbbbbbbbbbbbbb,c=', 'audio:dddd='] });
	assert.deepEqual(result.seen.errors, []);
	assert.deepEqual([result.seen.usage.length, result.seen.transcript], [2, 'said']);
	const bill = await agrees(result);
	assert.deepEqual([bill.calls, result.status.calls], [4, 4]);
});

test('realtime: without detection of turns nothing is held between them', async () => {
	// One turn's hold would not fit twice.
	const session = { type: 'realtime', audio: { input: { turn_detection: null } } };
	const result = await run('realtime', { session, turns: ['mock:tokens=3', 'mock:tokens=4'] }, '1.4');
	assert.deepEqual(result.seen.errors, []);
	assert.equal(result.seen.usage.length, 2);
	await agrees(result);
});

test('realtime: a transcription by a model without a price ends the session', async () => {
	const session = { type: 'realtime', audio: { input: { transcription: { model: 'made-up' } } } };
	const { seen, status } = await run('realtime', { session, turns: ['audio:hello='] });
	assert.deepEqual([seen.close.code, seen.errors[0].code, status.refused], [1008, 'unknown_model', 1]);
	assert.equal((await mock.bill()).calls, 0);
});

for (const kind of KINDS) {
	for (const abrupt of [false, true]) {
		if (abrupt && kind !== 'realtime') continue;
		test(`${kind}: the agent leaves while a turn runs, ${abrupt ? 'without a word' : 'by the book'}: it is billed, and charged exactly`, async () => {
			const result = await run(kind, { turns: ['mock:tokens=30 mock:delay=20'], abortAfter: 4, abrupt, staysMs: 1500 });
			assert.equal(result.seen.usage.length, 0);
			const bill = await agrees(result);
			assert.deepEqual([bill.calls, bill.output_tokens, result.status.calls, result.status.estimated], [1, 30, 1, 0]);
		});
	}

	test(`${kind}: the provider's connection breaks while a turn runs: its hold is charged`, async () => {
		const { seen, status } = await run(kind, { turns: ['mock:tokens=30 mock:delay=5 mock:fault=reset-midway'] });
		assert.equal(seen.usage.length, 0);
		assert.notEqual(seen.close, null);
		const bill = await mock.bill();
		assert.deepEqual([status.calls, status.estimated], [1, 1]);
		assert.ok(dollars(status.spent_usd) > BigInt(bill.nanousd));
		assert.equal(dollars(status.held_usd), 0n);
	});

	test(`${kind}: a turn that ends without usage is charged by its hold`, async () => {
		const { status } = await run(kind, { turns: kind === 'live' ? ['mock:fault=no-usage', 'mock:tokens=4'] : ['mock:fault=no-usage'] });
		const bill = await mock.bill();
		assert.equal(status.estimated, 1);
		assert.ok(dollars(status.spent_usd) > BigInt(bill.nanousd));
		assert.equal(dollars(status.held_usd), 0n);
	});
}

for (const kind of ['realtime', 'responses']) {
	test(`${kind}: what the provider itself refuses costs nothing`, async () => {
		const result = await run(kind, { turns: ['mock:status=400', 'mock:tokens=6'], stopAtError: false });
		assert.equal(result.seen.errors[0].code, 'as_ordered');
		assert.equal(result.seen.usage.length, 1);
		const bill = await agrees(result);
		assert.deepEqual([bill.calls, result.status.calls], [1, 1]);
	});
}

const URL = 'wss://api.openai.com/v1/realtime?model=gpt-realtime';
const create = (more = {}) => JSON.stringify({ type: 'response.create', response: { max_output_tokens: 9 }, ...more });

test('npm ws: fragments, pings and no compression, byte for byte', async () => {
	const result = await run('ws', { url: URL, piece: 7, turns: [create(), create()] });
	assert.deepEqual(result.seen.errors, []);
	assert.deepEqual([result.seen.usage.length, result.seen.extensions, result.seen.pong, result.seen.close.code], [2, '', 'are you there', 1000]);
	await agrees(result);
});

test('npm ws: the upgrade is refused with the status that the API would give', async () => {
	const broke = await run('ws', { url: URL, turns: [create()] }, '0.000000001');
	assert.equal(broke.seen.refused.status, 402);
	assert.equal(JSON.parse(broke.seen.refused.body).error.code, 'insufficient_quota');
	for (const url of ['wss://api.openai.com/v1/realtime?call_id=rtc_1', 'wss://api.openai.com/v1/realtime/calls', 'wss://api.openai.com/v1/chat/completions', 'wss://api.openai.com/v1/realtime']) {
		const { seen } = await run('ws', { url, turns: [create()] });
		assert.equal(seen.refused?.status, 403, url);
		assert.equal(JSON.parse(seen.refused.body).error.code, 'unmetered_path');
	}
	const unknown = await run('ws', { url: 'wss://api.openai.com/v1/realtime?model=made-up', turns: [create()] });
	assert.equal(JSON.parse(unknown.seen.refused.body).error.code, 'unknown_model');
	assert.equal((await mock.bill()).requests, 0, 'the provider was never asked');
});

test('npm ws: what can not be read does not pass, and the session ends', async () => {
	for (const text of ['no JSON', '{"type":"response.create"', '{"type":"made.up"}', '[]']) {
		const { seen, status } = await run('ws', { url: URL, turns: [text] });
		assert.deepEqual([seen.close.code, seen.events.at(-1)], [1008, 'error'], text);
		assert.equal(dollars(status.spent_usd), 0n);
	}
	assert.equal((await mock.bill()).calls, 0);
});

const RESPONSES = 'wss://api.openai.com/v1/responses';
const ask = (input, more = {}) => JSON.stringify({ type: 'response.create', model: 'gpt-5', input, max_output_tokens: 50, ...more });

test('npm ws: without a wait, a second response that does not fit is never asked for; the first, which runs, is charged exactly', async () => {
	// Each is held for at a tenth of a cent.
	const result = await run('ws', { url: RESPONSES, turns: [ask('mock:tokens=30 mock:delay=20'), ask('mock:tokens=30')], together: true, staysMs: 1500 }, '0.0015', ['--wait', '0s']);
	assert.deepEqual([result.seen.close.code, result.seen.events.at(-1), result.seen.usage.length], [1008, 'error', 0]);
	const bill = await agrees(result);
	assert.deepEqual([bill.calls, bill.output_tokens, result.status.calls, result.status.estimated, result.status.refused], [1, 30, 1, 0, 1]);
});

test('npm ws: turns wait for those that run, in their order; a ping is answered meanwhile', async () => {
	const turns = [ask('mock:tokens=30 mock:delay=30'), ask('mock:tokens=20'), ask('mock:tokens=10')];
	const result = await run('ws', { url: RESPONSES, turns, together: true, pingAfterMs: 400, piece: 31 }, '0.0015');
	const { seen, status } = result;
	assert.deepEqual(seen.errors, []);
	assert.deepEqual(seen.usage.map((usage) => usage.output_tokens), [30, 20, 10]);
	assert.ok(seen.events.indexOf('pong: still there') < seen.events.indexOf('response.completed'), JSON.stringify(seen.events));
	assert.equal(seen.events.filter((event) => event.startsWith('pong')).length, 2, 'each ping has one pong');
	const bill = await agrees(result);
	assert.deepEqual([bill.calls, status.refused, seen.close.code], [3, 0, 1000]);
});

test('npm ws: who closes while a turn of his waits takes it with him', async () => {
	const result = await run('ws', { url: RESPONSES, turns: [ask('mock:tokens=30 mock:delay=40'), ask('mock:tokens=20')], together: true, closeAfterMs: 500, staysMs: 1500 }, '0.0015');
	const bill = await agrees(result);
	assert.deepEqual([bill.calls, bill.output_tokens, result.status.refused, result.seen.close.code], [1, 30, 0, 1000]);
});

for (const [api, url, text] of [['responses', RESPONSES, ask('mock:tokens=10 mock:delay=5')], ['realtime', URL, create()]])
	test(`npm ws: ${api}: sessions at once, near the cap, are served one after another`, async () => {
		const result = await run('many', { url, turns: Array(8).fill(text) }, api === 'responses' ? '0.0025' : '0.1');
		assert.deepEqual(result.seen.codes, Array(8).fill(1000), result.stderr);
		const bill = await agrees(result);
		assert.deepEqual([bill.calls, result.status.refused], [8, 0]);
	});

const said = (text) => JSON.stringify({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } });
// Of each the provider says all that its limit allows; the cap is worth less than one.
const CLAMPED = {
	responses: { url: RESPONSES, cap: '0.02', turns: [ask('mock:tokens=max', { max_output_tokens: 4000 })] },
	'responses without a limit': { url: RESPONSES, cap: '0.02', turns: [ask('mock:tokens=max', { max_output_tokens: undefined })] },
	realtime: { url: URL, cap: '0.13', silent: 1, turns: [said('mock:tokens=1 mock:audio=9999'), create({ response: { max_output_tokens: 4096 } })] },
	'realtime without a limit': { url: URL, cap: '0.13', silent: 1, turns: [said('mock:tokens=1 mock:audio=9999'), create({ response: undefined })] },
};

for (const [kind, { url, cap, turns, silent = 0 }] of Object.entries(CLAMPED))
	test(`case 66: ${kind} over a WebSocket: served with a lower limit, never above the cap`, async () => {
		const clamped = await run('ws', { url, turns, silent, piece: 17 }, cap, ['--on-tight', 'clamp']);
		assert.deepEqual(clamped.seen.errors, []);
		assert.equal(clamped.seen.usage.length, 1);
		const bill = await agrees(clamped);
		assert.ok(BigInt(bill.nanousd) <= dollars(cap), bill.usd);
		assert.ok(BigInt(bill.nanousd) * 10n >= dollars(cap) * 3n, `${bill.usd}: what was there was used`);
		await mock.reset();
		const denied = await run('ws', { url, turns, silent }, cap);
		assert.deepEqual([denied.seen.close.code, denied.seen.errors.length, (await mock.bill()).calls], [1008, 0, 0]);
	});

test('npm ws: an upgrade that the provider declines gets its answer, and costs nothing', async () => {
	await mock.faults({ status: 503 });
	const { seen, status } = await run('ws', { url: URL, turns: [create()] });
	assert.equal(seen.refused.status, 503);
	assert.deepEqual([dollars(status.spent_usd), dollars(status.held_usd)], [0n, 0n]);
});

test('case 67: over a WebSocket: a turn that others wait for lends what it does not need yet, and is ended cleanly at the cap', async () => {
	// Each is held at 2,500 tokens of output, 0.025 USD; the second gets in when the first has shown its pace, and the first finds no room then.
	const turn = ask('mock:tokens=900 mock:delay=2', { model: 'gpt-4o', max_output_tokens: 2500 });
	const { seen, status, stderr } = await run('many', { url: RESPONSES, turns: [turn, turn] }, '0.04', ['--on-tight', 'cut']);
	assert.deepEqual(seen.codes.sort(), [1000, 1008], stderr);
	assert.deepEqual(seen.events.filter((type) => /incomplete|completed/.test(type)).sort(), ['response.completed', 'response.incomplete']);
	const bill = await mock.bill();
	assert.deepEqual([bill.calls, status.refused, status.held_usd], [2, 0, '0']);
	assert.ok(bill.output_tokens > 1200 && bill.output_tokens < 1750, `${bill.output_tokens}`);
	const spent = dollars(status.spent_usd), billed = BigInt(bill.nanousd);
	assert.ok(billed <= spent && spent <= dollars('0.04'), `${status.spent_usd}, billed ${bill.usd}`);
	assert.ok(spent * 2n <= billed * 3n, `${status.spent_usd}, billed ${bill.usd}`);
});
