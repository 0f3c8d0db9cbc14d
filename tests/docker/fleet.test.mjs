// SPDX-License-Identifier: Apache-2.0
// docs/examples/fleet, as it stands there: three agents, caps of their own from x-claw, one of the team, and a live change.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Host, PROVIDER, build, root, start } from './lib.mjs';

const scratch = process.env.SPENDGATE_SCRATCH;
const example = path.join(root, 'docs/examples/fleet');
const services = ['researcher', 'writer', 'critic'];
let host;
before(async () => {
	const compiled = path.join(scratch, 'compiled');
	execFileSync(path.join(build, 'spendgate'), ['compile', path.join(example, 'compose.yml'), '-o', compiled]);
	const config = JSON.parse(fs.readFileSync(path.join(example, 'config.json')));
	delete config.budgets[0].limit_usd;
	config.budgets[0].max_requests = 4; // calls are easier to count
	host = new Host();
	await host.begin({ ...config, compiled });
	host.load('go');
	host.docker('tag', 'go', 'desk-agent');
	host.docker('tag', 'busybox', 'desk-database');
});
after(() => host.end());

test('the example: the team\'s cap holds over its agents, and a change is in force at once', async () => {
	const spendgate = (...args) => start(path.join(build, 'spendgate'), args, { env: host.gate.env }).done;
	const cap = async (agent) => JSON.parse((await spendgate('budget', 'show', agent, '--json')).stdout).agents[0].budgets[0].limit_usd;
	// Where the provider is, and what the agents do.
	const more = path.join(scratch, 'more.json');
	const each = { extra_hosts: [`api.openai.com:${PROVIDER}`], command: ['/call', '2'] };
	fs.writeFileSync(more, JSON.stringify({ version: '2.4', services: { ...Object.fromEntries(services.map((name) => [name, each])), database: { command: ['sleep', '1000'] } } }));
	const compose = (...args) => start('/usr/bin/docker-compose', ['-p', 'desk', '-f', path.join(example, 'compose.yml'), '-f', more, ...args], { env: host.env }).done;

	const { code, stderr } = await compose('up', '-d');
	assert.equal(code, 0, stderr);
	let answers = [];
	for (const name of services) {
		await host.client('wait', `desk_${name}_1`);
		answers = answers.concat(host.docker('logs', `desk_${name}_1`).split('\n'));
	}
	assert.equal(answers.filter((status) => status === '200').length, 4, answers);
	assert.equal(answers.filter((status) => /^4(02|29)$/.test(status)).length, 2, answers); // by how long the window is
	assert.equal((await host.mock.bill()).requests, 4);
	assert.doesNotMatch(host.log(), /agent=.*database/);

	host.docker('run', '-d', '--name', 'again', '--label', 'spendgate.agent=researcher', '--label', 'spendgate.team=desk', 'agents', 'sleep', '1000');
	assert.equal(Number(await cap('researcher')), 5);
	const added = await spendgate('budget', 'add', 'researcher', '5', '--expires', '8h', '--reason', 'quarter end');
	assert.equal(added.code, 0, added.stderr);
	assert.equal(Number(await cap('researcher')), 10);
	assert.match((await spendgate('audit', '--agent', 'researcher')).stdout, /budget_changed.*quarter end/);
	host.docker('rm', '-f', 'again');
	await compose('down', '-t', '0');
	await host.empty();
});
