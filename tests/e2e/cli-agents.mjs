// SPDX-License-Identifier: Apache-2.0
// The command-line agents codex and claude, as npm ships them, under `spendgate run`. Their packages have 800 MB, so this is no part of
// the suite; how to run it is told in docs/clients.md.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { build, directories, dollars, scratch, start, startMock } from './lib.mjs';

const folder = process.env.SPENDGATE_CLI_AGENTS;
const bin = (name) => path.join(folder, 'node_modules/.bin', name);
const AGENTS = {
	codex: { command: [bin('codex'), 'exec', '--skip-git-repo-check', '-m', 'gpt-5'], env: { CODEX_API_KEY: 'sk-planted' } },
	claude: { command: [bin('claude'), '--model', 'claude-opus-5', '-p'], env: { ANTHROPIC_API_KEY: 'sk-planted' } },
};
// codex offers the model OpenAI's web search without a limit: what such a call holds.
const config = path.join(scratch, 'cli-config.json');
let mock;
let counter = 0;

before(async () => {
	fs.writeFileSync(config, JSON.stringify({ unbounded: { hold_usd: '0.50' } }));
	mock = await startMock();
});
beforeEach(() => mock.reset());
after(() => mock?.stop());

async function run(name, limit, prompt) {
	const home = fs.mkdtempSync(path.join(scratch, `${name}-`));
	const statusFile = path.join(scratch, `cli-${++counter}.json`);
	const { command, env } = AGENTS[name];
	const origins = ['api.openai.com', 'api.anthropic.com'].flatMap((host) => ['--origin', `${host}=127.0.0.1:${mock.port}`]);
	const flags = ['run', '--agent', name, '--limit-usd', limit, ...origins, '--config', config, '--upstream-ca', mock.ca, '--status-file', statusFile];
	const result = await start('timeout', ['120', path.join(build, 'spendgate'), ...flags, '--', ...command, prompt], { env: { ...process.env, ...directories(), HOME: home, ...env }, cwd: home }).done;
	const status = fs.existsSync(statusFile) ? JSON.parse(fs.readFileSync(statusFile)) : null;
	console.log(`${name}: exit ${result.code}
${result.stdout}
${result.stderr}
${JSON.stringify(status)}`);
	return { ...result, status };
}

for (const name of Object.keys(AGENTS)) {
	test(`${name}: metered`, async () => {
		const { code, stdout, status } = await run(name, '20', 'mock:tokens=6 hello');
		const bill = await mock.bill();
		assert.equal(code, 0);
		assert.match(stdout, /tok tok/);
		assert.ok(bill.calls >= 1);
		assert.equal(dollars(status.spent_usd), BigInt(bill.nanousd));
	});

	test(`${name}: refused, and not crashed`, async () => {
		const { code, status } = await run(name, '0.000000001', 'mock:tokens=6 hello');
		assert.ok(code !== 0 && code < 124, `exit ${code}`);
		assert.ok(status.refused >= 1);
		assert.equal((await mock.bill()).calls, 0);
	});
}
