// SPDX-License-Identifier: Apache-2.0
// The story that operators tell first, step by step, with an unmodified SDK in a container: a cap of 0.00005 USD, a call, a refusal that
// the audit log shows, the cap raised while the agent runs, the next call.
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Host, PROVIDER, build, dollars, root, start, until } from './lib.mjs';

let host;
before(async () => {
	host = new Host();
	await host.begin();
});
after(() => host.end());

// Some 0.000027 USD a call.
const ORDER = { model: 'gpt-5-nano', max_tokens: 65, service_tier: 'default', messages: [{ role: 'user', content: 'mock:tokens=65' }] };

// One process in the container, which makes a call whenever its socket is told to.
function ask(socket) {
	return new Promise((resolve, reject) => {
		const connection = net.connect(socket, () => connection.write(`${JSON.stringify(ORDER)}\n`));
		connection.on('error', reject);
		connection.once('data', (data) => {
			connection.destroy();
			resolve(JSON.parse(data));
		});
	});
}

test('a cap of 0.00005: 200, 429 budget_exceeded, seen in the audit log; raised live to 1.0: 200, with no restart', async () => {
	const spendgate = (...args) => start(path.join(build, 'spendgate'), args, { env: host.gate.env }).done;
	host.docker('run', '-d', '--name', 'spike', '--add-host', `api.openai.com:${PROVIDER}`, '-v', `${root}/tests:/tests:ro`, '-v', `${process.env.SPENDGATE_SCRATCH}:/out`,
		'--label', 'spendgate.budget.limit-usd=0.00005', '--label', 'spendgate.budget.window=1h', 'agents', 'node', '/tests/e2e/agents/served.mjs', '/out/spike.sock');
	await until(() => host.docker('logs', 'spike').includes('listening'), 'the agent');
	const started = host.docker('inspect', '-f', '{{.State.StartedAt}}', 'spike');
	const call = () => ask(path.join(process.env.SPENDGATE_SCRATCH, 'spike.sock'));

	const first = await call();
	assert.equal(first.status, 200, JSON.stringify(first));
	const refused = await call();
	assert.equal(refused.status, 429, JSON.stringify(refused));
	const before = await host.mock.bill();
	assert.ok(BigInt(before.nanousd) <= dollars('0.00005'));

	const audit = (await spendgate('audit', '--agent', 'spike')).stdout.trim().split('\n').map((line) => JSON.parse(line)).find((line) => line.event === 'refused');
	assert.deepEqual([audit.reason, audit.status, audit.budget.limit_usd], ['budget_exceeded', 429, '0.00005']);

	const change = await spendgate('budget', 'set', 'spike', '--limit-usd', '1.0');
	assert.equal(change.code, 0, change.stderr);
	assert.equal((await call()).status, 200);
	assert.equal(host.docker('inspect', '-f', '{{.State.StartedAt}}', 'spike'), started);
	const [agent] = (await host.status()).agents;
	assert.equal(dollars(agent.spent_usd), BigInt((await host.mock.bill()).nanousd));
	host.docker('rm', '-f', 'spike');
	await host.empty();
});
