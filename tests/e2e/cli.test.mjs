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
	const nobody = await spendgate('price', '--provider', 'nobody', '--model', 'gpt-4o');
	assert.equal(nobody.code, 65);
	assert.match(nobody.stderr, /must be one of openai anthropic .*bedrock/);
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
	const refused = async (usage) => {
		fs.writeFileSync(file, JSON.stringify(usage));
		const { code, stderr } = await spendgate('price', '--provider', 'openai', '--model', 'gpt-4o', '--usage', file);
		assert.equal(code, 65);
		return stderr;
	};
	assert.match(await refused({ input_tokens: -5 }), /usage.json: input_tokens: must be a whole number/);
	assert.match(await refused({ input_tokens: null }), /input_tokens: must be a whole number/);
	assert.match(await refused({ prompt_tokens: 5 }), /usage.json: no token counts/);
	assert.match(await refused([]), /no token counts/);
	assert.match(await refused({ input_tokens: 5, lines: [{ model: 'gpt-4o' }] }), /lines\[0\]: no token counts/);
});

test('price --usage: tiers, and lines that have models of their own', async () => {
	const file = path.join(scratch, 'lines.json');
	fs.writeFileSync(file, JSON.stringify({ service_tier: 'priority', input_tokens: 1000, output_tokens: 0 }));
	const priority = await spendgate('price', '--provider', 'openai', '--model', 'gpt-4o-2024-08-06', '--usage', file);
	assert.equal(JSON.parse(priority.stdout).cost_usd, '0.00425'); // 1.7 x 2.5 per million, also under the dated name
	fs.writeFileSync(file, JSON.stringify({ input_tokens: 2, output_tokens: 0,
		lines: [{ model: 'claude-fable-5', input_tokens: 1 }, { model: 'claude-opus-5', input_tokens: 1 }] }));
	const lines = await spendgate('price', '--provider', 'anthropic', '--model', 'claude-fable-5', '--usage', file);
	assert.equal(JSON.parse(lines.stdout).cost_usd, '0.000015'); // 10 and 5 per million
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
	const missing = await spendgate('meter', '/no/such/file');
	assert.equal(missing.code, 65);
	assert.equal(missing.stderr, 'spendgate: /no/such/file: No such file or directory\n');
});

test('what can\'t be written whole is a failure: a part of a bill must not pass for the bill', async () => {
	for (const args of [['price', '--provider', 'openai', '--model', 'gpt-4o'], ['--help']]) {
		const { code, stderr } = await start('sh', ['-c', 'exec "$0" "$@" > /dev/full', path.join(build, 'spendgate'), ...args]).done;
		assert.equal(code, 73);
		assert.match(stderr, /standard output: No space left on device/);
	}
});

test('help everywhere, and errors that name the remedy', async () => {
	const commands = (await spendgate('--help')).stdout.match(/^ {2}\w+/gm).map((line) => line.trim());
	assert.ok(commands.length >= 15);
	const verbs = ['budget set', 'budget add', 'budget rm', 'budget show', 'ledger export', 'price update'];
	for (const name of [...commands, ...verbs]) {
		const { code, stdout } = await spendgate(...name.split(' '), '--help');
		assert.equal(code, 0, name);
		assert.match(stdout, new RegExp(`^Usage: spendgate ${name} `), 'as it is called');
	}
	assert.match((await spendgate('run', '--nonsense')).stderr, /Try `spendgate run --help'/);
	assert.match((await spendgate('--version')).stdout, /^spendgate \d+\.\d+\.\d+\n$/);
	assert.equal((await spendgate('nothing')).code, 64);
	const status = await spendgate('status');
	assert.equal(status.code, 69);
	assert.match(status.stderr, /systemctl start spendgated/);
	const detached = await spendgate('detach', '/nothing');
	assert.equal(detached.code, 69);
	assert.match(detached.stderr, /systemctl start spendgated/);
	const config = path.join(scratch, 'bad-config.json');
	fs.writeFileSync(config, '{"workers": 0}');
	const daemon = await start(path.join(build, 'spendgated'), ['--config', config], { env: { ...process.env, ...directories() } }).done;
	assert.equal(daemon.code, 78);
	assert.match(daemon.stderr, /bad-config.json: workers: must be a number from 1 to 64/);
	for (const args of [['--', '/usr/bin/g++', '--version'], ['--agent', 'a/b', '--', 'true'], ['--agent', '.hidden', '--', 'true']]) {
		const { code, stderr } = await spendgate('run', ...args);
		assert.equal(code, 64);
		assert.match(stderr, /agent name "(g\+\+|a\/b|\.hidden)": must be 1 to 63 letters, .*: give it one with --agent NAME/);
	}
	const nobody = (...args) => start('setpriv', ['--reuid=65534', '--clear-groups', path.join(build, 'spendgate'), ...args]).done;
	for (const args of [['run', '--', 'true'], ['attach', '/some/cgroup'], ['attach', '--guard', '/some'], ['detach', 'some'], ['docker', 'watch'], ['docker', 'install', '--daemon-json', '/etc/of-nobody.json']]) {
		const { code, stderr } = await nobody(...args);
		assert.match(stderr, /use sudo/, args.join(' '));
		assert.equal(code, 77, stderr);
	}
});
