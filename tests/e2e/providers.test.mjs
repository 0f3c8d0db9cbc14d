// SPDX-License-Identifier: Apache-2.0
// Every recorded exchange of the conformance tests through the live proxy, on real sockets: the agent sees exactly the bytes that it
// should, and what is charged is what `spendgate meter` says of the same file.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { bodyOf, readExchange } from '../../tools/mock-provider/replay.mjs';
import { build, directories, dollars, here, root, scratch, start, startMock } from './lib.mjs';

const folder = path.join(root, 'tests/conformance/fixtures');
const hosts = ['api.openai.com', 'eu.api.openai.com', 'api.anthropic.com', 'api.deepseek.com', 'api.fireworks.ai', 'api.groq.com', 'api.mistral.ai', 'openrouter.ai', 'api.perplexity.ai', 'api.together.xyz', 'api.x.ai', 'generativelanguage.googleapis.com', 'us-central1-aiplatform.googleapis.com', 'us-east5-aiplatform.googleapis.com', 'api.cohere.com', 'bedrock-runtime.us-east-1.amazonaws.com', 'bedrock-mantle.us-east-1.api.aws'];
// Refused on purpose, for what the request asks has no bound or no price.
const REFUSED = ['openai-batch-create', 'anthropic-legacy-complete', 'openai-path-of-no-table', 'openai-unknown-path', 'bedrock-inference-profile-arn', 'openai-chat-unknown-model', 'anthropic-iterations-advisor', 'anthropic-iterations-fallback', 'perplexity-reasoning-citation-tokens', 'xai-chat-reasoning-outside', 'xai-responses-tools', 'xai-responses-stream-ticks', 'xai-chat-without-total', 'xai-messages-ticks', 'groq-compound', 'groq-compound-stream', 'mistral-agent', 'mistral-conversation', 'openrouter-preset', 'openrouter-rerank', 'xai-image-ticks', 'openai-responses-image-tool', 'fireworks-workflow', 'openai-whisper-verbose'];
let mock;

before(async () => {
	mock = await startMock(['--exchanges', folder, ...hosts.flatMap((host) => ['--host', host])]);
});
after(() => mock?.stop());

// What ends before its end, what we would say ourselves, and what comes by other transports is tested elsewhere.
const replayable = ({ name, request, response, expect }) => !response.abort && !response.ws && expect.state !== 'denied' && hosts.includes(request.host) && name;

// GETs last: what they tell about was called before.
const exchanges = fs
	.readdirSync(folder)
	.map((file) => ({ ...readExchange(folder, file.replace('.json', '')), name: file.replace('.json', '') }))
	.filter(replayable)
	.sort((a, b) => !!a.expect.settles - !!b.expect.settles);

// What a later GET of the list settles is in the bill once, as the GET tells.
const settledLater = (list, { expect }) => expect.pending_id && list.some((other) => other.expect.settles === expect.pending_id);
// A GET about a call that was refused settles nothing.
const ofRefused = (list, { expect }) => expect.settles && list.some((other) => other.expect.pending_id === expect.settles && REFUSED.includes(other.name));

function seenByAgent({ response, expect }) {
	if (!expect.client_must_not_see) return bodyOf(response);
	return Buffer.from(response.sse.filter((_, index) => !expect.client_must_not_see.includes(index)).join(''));
}

async function metered(name) {
	const result = await start(path.join(build, 'spendgate'), ['meter', path.join(folder, `${name}.json`)]).done;
	assert.equal(result.code, 0, result.stderr);
	return JSON.parse(result.stdout);
}

async function runAll(host, list, protocol) {
	const file = path.join(scratch, `replay-${host}-${protocol}.json`);
	const statusFile = path.join(scratch, `replay-status-${host}-${protocol}.json`);
	fs.writeFileSync(file, JSON.stringify(list.map(({ name, request }) => ({ name, method: request.method, host, path: request.path, headers: request.headers, body: bodyOf(request).toString('base64') }))));
	fs.chmodSync(file, 0o644);
	const command = ['sh', '-c', `node ${path.join(here, 'agents/replay.mjs')} ${protocol} < ${file}`];
	const flags = ['run', '--agent', host, '--limit-usd', '5000', '--origin', `${host}=127.0.0.1:${mock.port}`, '--upstream-ca', mock.ca, '--status-file', statusFile];
	const result = await start(path.join(build, 'spendgate'), [...flags, '--', ...command], { env: { ...process.env, ...directories() }, cwd: here }).done;
	assert.equal(result.code, 0, result.stderr);
	return { results: JSON.parse(result.stdout), status: JSON.parse(fs.readFileSync(statusFile)) };
}

for (const [host, protocol] of hosts.flatMap((name) => [[name, 'http1'], [name, 'http2']])) {
	test(`recorded exchanges of ${host} over ${protocol}: the bytes, and the bill`, async () => {
		// What was recorded over HTTP/2 is of clients that speak nothing else.
		const list = exchanges.filter(({ request }) => request.host === host && (protocol === 'http2' || request.http_version === '1.1'));
		assert.ok(list.length > 0);
		const { results, status } = await runAll(host, list, protocol);
		let cost = 0n;
		for (const [index, exchange] of list.entries()) {
			const { status: code, body } = results[index];
			if (REFUSED.includes(exchange.name)) {
				assert.equal(code, 403, exchange.name);
				continue;
			}
			assert.equal(code, exchange.response.status, `${exchange.name}: ${Buffer.from(body, 'base64').toString().slice(0, 300)}`);
			assert.equal(Buffer.from(body, 'base64').toString('latin1'), seenByAgent(exchange).toString('latin1'), exchange.name);
			if (!settledLater(list, exchange) && !ofRefused(list, exchange)) cost += dollars((await metered(exchange.name)).cost_usd);
		}
		assert.equal(dollars(status.spent_usd), cost, `${status.spent_usd} was charged`);
	});
}
