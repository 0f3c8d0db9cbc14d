// SPDX-License-Identifier: Apache-2.0
// The providers' own SDKs, unmodified: a call, a stream, and the refusal that each takes for final.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { build, directories, here, root, scratch, start, startMock } from './lib.mjs';

const SDKS = {
	groq: { host: 'api.groq.com', answers: ['groq-stream-x-groq'], texts: { stream: 'Nile' }, refused: 429 },
	gemini: { host: 'generativelanguage.googleapis.com', answers: ['gemini-thoughts-inside', 'gemini-stream-sse'], texts: { plain: 'Nile', stream: 'Nile' }, refused: 403 },
	mistral: { host: 'api.mistral.ai', answers: ['mistral-chat'], texts: { plain: 'Danube, Nile, Amazon.' }, refused: 403 },
	cohere: { host: 'api.cohere.com', answers: ['cohere-stream'], texts: { stream: 'Nile' }, refused: 403 },
};
let mock;

before(async () => {
	const all = Object.values(SDKS);
	mock = await startMock(['--exchanges', path.join(root, 'tests/conformance/fixtures'), ...all.flatMap(({ host, answers }) => ['--host', host, ...answers.flatMap((name) => ['--answer', name])])]);
});
after(() => mock?.stop());

async function run(name, limit) {
	const { host } = SDKS[name];
	const statusFile = path.join(scratch, `sdk-${name}.json`);
	const flags = ['run', '--agent', name, '--limit-usd', limit, '--origin', `${host}=127.0.0.1:${mock.port}`, '--upstream-ca', mock.ca, '--status-file', statusFile];
	const result = await start(path.join(build, 'spendgate'), [...flags, '--', 'node', path.join(here, 'agents/sdks.mjs'), name], { env: { ...process.env, ...directories() }, cwd: here }).done;
	assert.ok(result.stdout, result.stderr);
	return { results: JSON.parse(result.stdout), status: JSON.parse(fs.readFileSync(statusFile)) };
}

for (const [name, { texts, refused }] of Object.entries(SDKS)) {
	test(`the SDK of ${name}: metered, and refused once`, async () => {
		const calls = Object.keys(texts).length;
		const { results, status } = await run(name, '1');
		for (const [kind, text] of Object.entries(texts)) assert.equal(results[kind].text, text, JSON.stringify(results[kind]));
		assert.equal(status.calls, calls);
		assert.equal(status.estimated, 0);
		assert.notEqual(status.spent_usd, '0');
		const before_ = (await mock.bill()).requests;
		const denied = await run(name, '0.000000001');
		for (const kind of Object.keys(texts)) assert.equal(denied.results[kind].status ?? refused, refused, JSON.stringify(denied.results[kind]));
		for (const kind of Object.keys(texts)) assert.match(denied.results[kind].message, /insufficient_quota|exhausted/);
		assert.equal(denied.status.refused, calls, 'no SDK tried again');
		assert.equal((await mock.bill()).requests, before_, 'the provider was not contacted');
	});
}
