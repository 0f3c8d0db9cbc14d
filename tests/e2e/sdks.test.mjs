// SPDX-License-Identifier: Apache-2.0
// The official SDKs, unmodified: a plain call, a stream, a tool call, one that the provider cuts, and the refusal that each takes
// for final: `refused` is the status in its error.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { build, directories, dollars, here, scratch, start, startMock } from './lib.mjs';

const SDKS = {
	openai: { host: 'api.openai.com', refused: 429 },
	'openai-responses': { host: 'api.openai.com', refused: 429 },
	anthropic: { host: 'api.anthropic.com', refused: 429 },
	gemini: { host: 'generativelanguage.googleapis.com', refused: 403 },
	mistral: { host: 'api.mistral.ai', refused: 403 },
	cohere: { host: 'api.cohere.com', refused: 403 },
	groq: { host: 'api.groq.com', refused: 429 },
	openrouter: { host: 'openrouter.ai', refused: 402 },
	ollama: { host: 'ollama.com', refused: 402 },
	'ai-openai': { host: 'api.openai.com', refused: 402 },
	'ai-anthropic': { host: 'api.anthropic.com', refused: 402 },
	'ai-google': { host: 'generativelanguage.googleapis.com', refused: 403 },
	'ai-mistral': { host: 'api.mistral.ai', refused: 403 },
	'ai-cohere': { host: 'api.cohere.com', refused: 403 },
	'ai-groq': { host: 'api.groq.com', refused: 402 },
};
// Nobody else knows what a server of one's own costs.
const prices = path.join(scratch, 'sdk-prices.json');
const config = path.join(scratch, 'sdk-config.json');
let mock;

before(async () => {
	fs.writeFileSync(prices, JSON.stringify({ updated: '2026-11-24', unit: 'USD per 1,000,000 tokens', models: [{ provider: 'ollama', model: '*', input: '1', output: '2', context_window: 8192, max_output: 4096 }] }));
	fs.writeFileSync(config, JSON.stringify({ prices }));
	mock = await startMock([...new Set(Object.values(SDKS).map(({ host }) => host))].flatMap((host) => ['--host', host]));
});
after(() => mock?.stop());

let counter = 0;

async function run(name, limit, calls) {
	const { host } = SDKS[name];
	const statusFile = path.join(scratch, `sdk-${++counter}.json`);
	const flags = ['run', '--agent', name, '--limit-usd', limit, '--origin', `${host}=127.0.0.1:${mock.port}`, '--upstream-ca', mock.ca, '--config', config, '--status-file', statusFile];
	const result = await start(path.join(build, 'spendgate'), [...flags, '--', 'node', path.join(here, 'agents/sdks.mjs'), name, JSON.stringify(calls)], { env: { ...process.env, ...directories() }, cwd: here }).done;
	assert.ok(result.stdout, result.stderr);
	return { results: JSON.parse(result.stdout), status: JSON.parse(fs.readFileSync(statusFile)) };
}

const words = (result) => `${result.text}`.match(/tok|é/g)?.length;

for (const [name, { refused }] of Object.entries(SDKS)) {
	test(`${name}: a call, a stream and a tool call, metered`, async () => {
		await mock.reset();
		const { results, status } = await run(name, '1', { plain: ['plain', 'mock:tokens=5'], stream: ['stream', 'mock:tokens=7'], tool: ['tool', 'mock:tool=1 mock:tokens=3'] });
		assert.deepEqual([words(results.plain), words(results.stream), results.tool.text], [5, 7, 'weather'], JSON.stringify(results));
		assert.deepEqual([status.calls, status.estimated, status.refused, status.held_usd], [3, 0, 0, '0']);
		const bill = await mock.bill();
		assert.deepEqual([status.input_tokens, status.output_tokens], [bill.input_tokens, bill.output_tokens]);
		assert.equal(bill.calls, 3);
	});

	test(`${name}: a stream that the provider cuts raises, and is charged by its hold`, async () => {
		await mock.reset();
		const { results, status } = await run(name, '1', { cut: ['stream', 'mock:tokens=30 mock:fault=reset-midway mock:delay=5'] });
		assert.ok(results.cut.error, JSON.stringify(results));
		const { calls } = await mock.bill();
		assert.ok(calls >= 1);
		assert.deepEqual([status.calls, status.estimated, status.held_usd], [calls, calls, '0']);
		assert.ok(dollars(status.spent_usd) > 0n);
	});

	test(`${name}: refused once and for all, and the provider is not asked`, async () => {
		await mock.reset();
		const { results, status } = await run(name, '0.000000001', { plain: ['plain', 'hello'], stream: ['stream', 'hello'] });
		for (const result of Object.values(results)) {
			assert.equal(result.status ?? refused, refused, JSON.stringify(result));
			assert.match(result.message, /insufficient_quota|exhausted/);
		}
		assert.equal(status.refused, 2, 'no SDK tried again');
		assert.equal((await mock.bill()).requests, 0);
	});
}
