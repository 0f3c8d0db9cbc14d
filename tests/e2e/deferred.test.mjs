// SPDX-License-Identifier: Apache-2.0
// Calls whose cost is told later, or never: background answers and batches settled by the GET that tells their end, and the
// operator's amounts for what nothing bounds.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { dollars, Gate, here, root, startMock, until } from './lib.mjs';

const folder = path.join(root, 'tests/conformance/fixtures');
let mock;
let gate;

before(async () => {
	mock = await startMock(['--exchanges', folder, '--host', 'api.openai.com', '--host', 'api.anthropic.com']);
	gate = new Gate(mock);
	await gate.daemon({ unbounded: { hold_usd: '2' }, unknown_path: { hold_usd: '0.25' } });
});
after(async () => {
	await gate?.stop();
	await mock?.stop();
});

// The agent sends these exchanges one after the other; what was charged in the end, in nano-dollars.
async function charged(agent, names, limit = '50') {
	const result = await gate.run(agent, { 'limit-usd': limit }, ['node', path.join(here, 'agents/exchanges.mjs'), folder, ...names]);
	assert.equal(result.code, 0, result.stderr);
	const status = result.status;
	return { statuses: JSON.parse(result.stdout), spent: dollars(status.spent_usd), held: dollars(status.held_usd) };
}

test('a background answer is held until a GET tells its end, and then costs what it used', async () => {
	const first = await charged('background-1', ['openai-responses-background-queued']);
	assert.equal(first.spent, 0n);
	assert.ok(first.held > dollars('0.09'), 'the hold stays out');
	const second = await charged('background-1', ['openai-responses-background-poll']);
	assert.equal(second.spent, dollars('0.071125'));
	assert.equal(second.held, 0n);
	const third = await charged('background-1', ['openai-responses-background-poll']);
	assert.equal(third.spent, dollars('0.071125'), 'a second GET costs nothing');
});

test("another agent's GET settles it too, for whom made it, once", async () => {
	await charged('background-2', ['openai-responses-background-queued']);
	const other = await charged('background-3', ['openai-responses-background-poll']);
	assert.equal(other.spent, 0n);
	const first = await charged('background-2', ['openai-responses-background-poll']);
	assert.equal(first.spent, dollars('0.071125'));
	assert.equal(first.held, 0n);
});

test('a restart between the call and its end: held all the time, charged once', async () => {
	const log = () => gate.running.stderr;
	const pid = () => Number([...log().matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)[1]);
	const first = await charged('background-4', ['openai-responses-background-queued']);
	const before = pid();
	process.kill(before, 'SIGKILL');
	await until(() => pid() !== before, 'another enforcer');
	const between = await charged('background-4', ['openai-models-free']);
	assert.equal(between.held, first.held);
	assert.equal(between.spent, 0n);
	const second = await charged('background-4', ['openai-responses-background-poll', 'openai-responses-background-poll']);
	assert.equal(second.spent, dollars('0.071125'));
	assert.equal(second.held, 0n);
});

test('a batch of a file is held at the amount of the configuration, and settled by its GET', async () => {
	const first = await charged('batch-1', ['openai-batch-create']);
	assert.equal(first.held, dollars('2'));
	const second = await charged('batch-1', ['openai-batch-get-completed']);
	assert.equal(second.spent, dollars('0.0000255'));
	assert.equal(second.held, 0n);
});

test('a batch with its requests in it is held by them, and settled by its results', async () => {
	const first = await charged('batch-2', ['anthropic-batch-create']);
	assert.equal(first.spent, 0n);
	assert.ok(first.held > dollars('0.00375') && first.held < dollars('0.1'), `${first.held}`);
	const second = await charged('batch-2', ['anthropic-batch-results']);
	assert.equal(second.spent, dollars('0.000105'));
});

test('no room for the amount: refused', async () => {
	const { statuses, spent, held } = await charged('batch-3', ['openai-batch-create'], '1.99');
	assert.deepEqual(statuses, [429]);
	assert.equal(spent + held, 0n);
});

test('a path that nobody knows costs the amount of the configuration', async () => {
	const { spent, statuses } = await charged('unknown-1', ['openai-path-of-no-table']);
	assert.deepEqual(statuses, [200]);
	assert.equal(spent, dollars('0.25'));
});
