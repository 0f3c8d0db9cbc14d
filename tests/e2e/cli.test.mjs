// SPDX-License-Identifier: Apache-2.0
// The command line: prices, recorded exchanges, help, exit codes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { build, directories, root, scratch, start } from './lib.mjs';

const spendgate = (...args) => start(path.join(build, 'spendgate'), args, { env: { ...process.env, ...directories() } }).done;

test('price: dated, exact, unknown models are told', async () => {
	const before = JSON.parse((await spendgate('price', '--provider', 'anthropic', '--model', 'claude-sonnet-5', '--at', '2026-08-31')).stdout);
	const after = JSON.parse((await spendgate('price', '--provider', 'anthropic', '--model', 'claude-sonnet-5', '--at', '2026-09-01')).stdout);
	assert.deepEqual([before.input, before.output, after.input, after.output], ['2', '10', '3', '15']);
	assert.equal(after.cache_write_1h, '6');
	const dated = JSON.parse((await spendgate('price', '--provider', 'openai', '--model', 'gpt-4o-2024-08-06')).stdout);
	assert.equal(dated.input, '2.5');
	for (const model of ['gpt-4o-minimal', 'gpt-9', 'ft:gpt-4o:me', '']) {
		const unknown = await spendgate('price', '--provider', 'openai', '--model', model);
		assert.equal(unknown.code, 65);
		assert.match(unknown.stderr, /no price for model/);
	}
});

test('price --usage: the reference\'s 100 k cache reads and 50 k writes', async () => {
	const file = path.join(scratch, 'usage.json');
	fs.writeFileSync(file, JSON.stringify({ input_tokens: 0, cache_read_tokens: 100000, cache_write_tokens: 50000, output_tokens: 12 }));
	const { stdout } = await spendgate('price', '--provider', 'anthropic', '--model', 'claude-sonnet-4-5', '--usage', file);
	assert.equal(JSON.parse(stdout).cost_usd, '0.21768'); // 100k x 0.3 + 50k x 3.75 + 12 x 15 per million
	fs.writeFileSync(file, JSON.stringify({ input_tokens: -5 }));
	assert.match((await spendgate('price', '--provider', 'openai', '--model', 'gpt-4o', '--usage', file)).stderr, /input_tokens: must be a whole number/);
});

test('meter: what an exchange counts and costs', async () => {
	const fixture = path.join(root, 'tests/conformance/fixtures/openai-chat-cached-reasoning.json');
	const expected = JSON.parse(fs.readFileSync(fixture)).expect;
	const metered = JSON.parse((await spendgate('meter', fixture)).stdout);
	for (const key of ['input_tokens', 'cache_read_tokens', 'output_tokens', 'state', 'model']) assert.deepEqual(metered[key], expected[key]);
	assert.match(metered.cost_usd, /^0\.\d+$/);
	const broken = path.join(scratch, 'broken.json');
	fs.writeFileSync(broken, '{"request":');
	const result = await spendgate('meter', broken);
	assert.equal(result.code, 65);
	assert.match(result.stderr, /broken.json:1:/);
});

test('help everywhere, and errors that name the remedy', async () => {
	for (const args of [['--help'], ['run', '--help'], ['status', '--help'], ['meter', '--help'], ['price', '--help']]) {
		const { code, stdout } = await spendgate(...args);
		assert.equal(code, 0);
		assert.match(stdout, /Usage:/);
	}
	assert.equal((await spendgate('nothing')).code, 64);
	const status = await spendgate('status');
	assert.equal(status.code, 69);
	assert.match(status.stderr, /systemctl start spendgated/);
	const config = path.join(scratch, 'bad-config.json');
	fs.writeFileSync(config, '{"workers": 0}');
	const daemon = await start(path.join(build, 'spendgated'), ['--config', config], { env: { ...process.env, ...directories() } }).done;
	assert.equal(daemon.code, 78);
	assert.match(daemon.stderr, /bad-config.json: workers: must be a number from 1 to 64/);
	const nobody = await start('setpriv', ['--reuid=65534', '--clear-groups', path.join(build, 'spendgate'), 'run', '--', 'true']).done;
	assert.equal(nobody.code, 77);
	assert.match(nobody.stderr, /use sudo/);
});
