// SPDX-License-Identifier: Apache-2.0
// Containers on a real engine: unmodified clients are metered and refused at their cap, from their first packet.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Host, PROVIDER, build, chat, dollars, start, until } from './lib.mjs';

let host;
before(async () => {
	host = new Host();
	await host.begin();
});
beforeEach(() => host.mock.reset());
after(() => host.end());

const rows = (text) => text.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
const curl = (text) => `curl -sS -m 20 -d '${JSON.stringify(chat(text).body)}' https://api.openai.com/v1/chat/completions`;
const served = (text) => text.match(/"completion_tokens":/g)?.length ?? 0;

// What spendgated says an agent spent, asked while it lives, is what the provider bills.
async function spent(name) {
	const agent = (await host.status()).agents.find((item) => item.name === name);
	return dollars(agent.spent_usd);
}

const PYTHON = (library) => `
import json, ${library}
for i in range(3):
    answer = ${library}.post("https://api.openai.com/v1/chat/completions", headers={"authorization": "Bearer sk-planted"},
                             json={"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": "mock:tokens=4"}]})
    print(json.dumps([answer.status_code, answer.json().get("error", {}).get("code")]))
`;

for (const library of ['requests', 'httpx'])
	test(`Python ${library}, unmodified: metered, and refused at the cap`, async () => {
		const { stdout, stderr } = await host.run({ agent: library, 'budget.max-requests': 2, 'budget.window': '24h' }, ['python3', '-c', PYTHON(library)]);
		assert.deepEqual(rows(stdout), [[200, null], [200, null], [402, 'insufficient_quota']], stderr);
		assert.equal((await host.mock.bill()).requests, 2);
	});

test('Python aiohttp, unmodified', async () => {
	const script = `
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        for i in range(2):
            async with session.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": "mock:tokens=4"}]}) as answer:
                print(answer.status)
asyncio.run(main())`;
	const { stdout, stderr } = await host.run({ agent: 'aiohttp', 'budget.max-requests': 1 }, ['python3', '-c', script]);
	assert.deepEqual(rows(stdout), [200, 402], stderr);
});

test('Node with the openai SDK, unmodified: stops at its dollars, and the bill is what spendgated says', async () => {
	const orders = { calls: Array.from({ length: 6 }, () => chat('mock:tokens=40')), maxRetries: 0 };
	// The container stays until it was asked about.
	const running = host.run({ agent: 'node', 'budget.limit-usd': '0.002' }, ['sh', '-c', `node /tests/e2e/agents/openai.mjs '${JSON.stringify(orders)}'; touch /out/node-done; until [ -e /out/node-go ]; do sleep 0.05; done`], { options: ['-v', `${process.env.SPENDGATE_SCRATCH}:/out`] });
	await until(() => fs.existsSync(path.join(process.env.SPENDGATE_SCRATCH, 'node-done')), 'the agent');
	const bill = await host.mock.bill(), known = await spent('node');
	fs.writeFileSync(path.join(process.env.SPENDGATE_SCRATCH, 'node-go'), '');
	const { stdout, stderr } = await running;
	const results = JSON.parse(stdout || `"${stderr}"`);
	assert.ok(results[0].ok, JSON.stringify(results));
	assert.equal(results.at(-1).code, 'insufficient_quota', JSON.stringify(results));
	assert.equal(known, BigInt(bill.nanousd));
	assert.ok(known > 0n && known <= dollars('0.002'));
});

test('spending is remembered by name: a container of the same name goes on with what is left', async () => {
	const label = { 'budget.max-requests': 2 };
	const one = await host.run(label, ['sh', '-c', curl('mock:tokens=4')], { options: ['--name', 'writer'] });
	const two = await host.run(label, ['sh', '-c', `${curl('mock:tokens=4')}; ${curl('mock:tokens=4')}`], { options: ['--name', 'writer'] });
	assert.equal(served(one.stdout) + served(two.stdout), 2, one.stderr + two.stderr);
	assert.match(two.stdout, /insufficient_quota/);
});

test('exec, pause, restart: what runs in the container is metered, and its end is noticed', async () => {
	const flags = ['--label', 'spendgate.agent=lasting', '--label', 'spendgate.budget.max-requests=3', '--add-host', 'api.openai.com:198.51.100.10'];
	host.docker('run', '-d', '--name', 'lasting', ...flags, 'agents', 'sleep', '1000');
	const call = () => host.docker('exec', 'lasting', 'sh', '-c', curl('mock:tokens=4'));
	assert.equal(served(call()), 1);
	host.docker('pause', 'lasting');
	host.docker('unpause', 'lasting');
	assert.equal(served(call()), 1);
	host.docker('restart', '-t', '0', 'lasting');
	assert.equal(served(call()), 1);
	assert.match(call(), /insufficient_quota/);
	host.docker('rm', '-f', 'lasting');
	await host.empty();
});

test('capabilities with which an agent can leave its fence are told', async () => {
	await host.run({ agent: 'admin', 'budget.max-requests': 1 }, ['true'], { options: ['--cap-add', 'NET_ADMIN'] });
	await host.logged(/event=agent_unconfined agent=admin id=\d+ capabilities="CAP_NET_ADMIN" /);
	assert.equal(host.log().match(/event=agent_unconfined/g).length, 1, 'and no others\'');
	await host.empty();
});

test('without a label nothing is changed', async () => {
	host.docker('run', '-d', '--name', 'plain', 'agents', 'sleep', '1000');
	assert.deepEqual((await host.status()).agents, []);
	assert.doesNotMatch(host.docker('exec', 'plain', 'env'), /CERT|CA_/);
	host.docker('rm', '-f', 'plain');
});

test('labels of an image make limits tighter, loosen none, and choose nobody', async () => {
	host.label('looser', { 'budget.behavior': 'soft_alert', 'budget.window': '1s', 'budget.max-tokens': 1000000 });
	const both = await host.run({ agent: 'looser', 'budget.max-requests': 1 }, ['sh', '-c', `${curl('mock:tokens=4')}; ${curl('mock:tokens=4')}`], { image: 'looser' });
	assert.equal(served(both.stdout), 1, both.stdout + both.stderr);
	assert.match(both.stdout, /insufficient_quota/);

	host.label('tighter', { 'budget.max-requests': 1, 'unknown-model': 'deny' });
	const own = await host.run({ 'budget.limit-usd': '5' }, ['sh', '-c', `${curl('mock:tokens=4')}; ${curl('mock:tokens=4')}`], { image: 'tighter' });
	assert.equal(served(own.stdout), 1, own.stdout + own.stderr);
	assert.equal((await host.mock.bill()).requests, 2);

	host.label('chooses', { agent: 'somebody', egress: 'host' });
	const chosen = await host.run({ 'budget.max-requests': 1 }, ['echo', 'started'], { image: 'chooses' });
	assert.notEqual(chosen.code, 0);
	assert.match(chosen.stderr, /label spendgate\.agent "somebody" is the image's own/);

	// A key that only the engine's decoder takes for Labels: it hands them on.
	const folder = path.join(process.env.SPENDGATE_SCRATCH, 'folded');
	fs.mkdirSync(folder);
	host.docker('save', '-o', `${folder}.tar`, 'busybox');
	execFileSync('tar', ['-xf', `${folder}.tar`, '-C', folder]);
	const [{ Config: file, Layers }] = JSON.parse(fs.readFileSync(path.join(folder, 'manifest.json')));
	const image = JSON.parse(fs.readFileSync(path.join(folder, file)));
	delete image.config?.Labels;
	image.config = { ...image.config, labels: { 'spendgate.egress': 'host' } };
	fs.writeFileSync(path.join(folder, 'folded.json'), JSON.stringify(image));
	fs.writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify([{ Config: 'folded.json', RepoTags: ['folded:latest'], Layers }]));
	for (const name of ['repositories', 'index.json', 'oci-layout']) fs.rmSync(path.join(folder, name), { force: true });
	execFileSync('tar', ['-cf', `${folder}.tar`, '-C', folder, '.']);
	host.docker('load', '-i', `${folder}.tar`);
	const folded = await host.run({ 'budget.max-requests': 1 }, ['echo', 'started'], { image: 'folded' });
	assert.match(folded.stderr, /label spendgate\.egress "host" is the image's own/, folded.stdout);

	const given = await host.run({ agent: 'given', egress: 'agent', 'budget.max-requests': 1 }, ['echo', 'started'], { image: 'chooses' });
	assert.equal(given.stdout, 'started\n', given.stderr);
	await host.empty();
});

test('labels of an image that say what holds anyway follow a tighter configuration', async () => {
	const reload = async (config) => {
		fs.writeFileSync(host.gate.running.child.spawnargs.at(-1), JSON.stringify({ ...host.config, ...config }));
		const { code, stderr } = await start(path.join(build, 'spendgate'), ['reload'], { env: host.gate.env }).done;
		assert.equal(code, 0, stderr);
	};
	const call = () => host.docker('exec', 'agreeing', 'sh', '-c', curl('mock:tokens=4').replace('gpt-4o', 'gpt-unheard-of'));
	host.label('agrees', { 'unknown-model': 'allow' });
	await reload({ unknown_model: 'allow' });
	host.docker('run', '-d', '--name', 'agreeing', '--label', 'spendgate.budget.max-requests=5', '--add-host', `api.openai.com:${PROVIDER}`, 'agrees', 'sleep', '1000');
	assert.equal(served(call()), 1);
	await reload({ unknown_model: 'deny' });
	assert.equal(served(call()), 0);
	await host.restartGate('SIGKILL'); // with what holds where nothing is configured: deny
	assert.equal(served(call()), 0);
	assert.equal((await host.mock.bill()).requests, 1);
	host.docker('rm', '-f', 'agreeing');
	await host.empty();
});

test('labels that mean nothing refuse the start and say why', async () => {
	const cases = [
		[{ 'budget.limit-usd': '0' }, /limit-usd must be > 0/],
		[{ 'budget.limit-usd': 'much' }, /limit-usd must be > 0: "much" is no number of dollars/],
		[{ 'budget.max-requests': 'two' }, /label spendgate.budget.max-requests "two": must be a whole number/],
		[{ 'budget.window': 'soon', 'budget.limit-usd': '1' }, /window/],
		[{ 'budget.limit_usd': '1' }, /label spendgate.budget.limit_usd: there is no such label/],
		[{ 'budget.behavior': 'nice', 'budget.limit-usd': '1' }, /unknown behavior "nice"/],
		[{ agent: 'a/b' }, /agent name "a\/b": must be 1 to 63 letters.*: give it one with the label spendgate.agent/],
		[{ profile: 'none' }, /profile "none": the configuration's profiles have none of this name/],
	];
	for (const [labels, expected] of cases) {
		const { code, stdout, stderr } = await host.run(labels, ['echo', 'started']);
		assert.notEqual(code, 0, JSON.stringify(labels));
		assert.match(stderr, expected);
		assert.doesNotMatch(stdout, /started/);
	}
	await host.empty();
});

test('without spendgated an agent does not start, and what runs stays fenced', async () => {
	host.docker('run', '-d', '--name', 'fenced', '--label', 'spendgate.budget.max-requests=1', '--add-host', 'api.openai.com:198.51.100.10', 'agents', 'sleep', '1000');
	host.gate.running.child.kill('SIGTERM');
	await host.gate.running.done;
	const { code, stdout, stderr } = await host.run({ 'budget.max-requests': 1 }, ['echo', 'started']);
	assert.notEqual(code, 0);
	assert.match(stderr, /no spendgated answers at .*: the container is not started without its limit/);
	assert.doesNotMatch(stdout, /started/);
	assert.equal((await host.client('run', '--rm', 'busybox', 'echo', 'unlabelled')).stdout, 'unlabelled\n');
	assert.notEqual((await host.client('exec', 'fenced', 'sh', '-c', curl('mock:tokens=4'))).code, 0);
	assert.equal((await host.mock.bill()).requests, 0);
	await host.gate.daemon(host.config);
	const again = host.docker('exec', 'fenced', 'sh', '-c', `${curl('mock:tokens=4')}; ${curl('mock:tokens=4')}`);
	assert.equal(served(again), 1, again);
	assert.match(again, /insufficient_quota/);
	host.docker('rm', '-f', 'fenced');
	await host.empty();
});

test('nothing is left: agents, pins, namespaces, merged files only once', async () => {
	await host.empty();
	const pins = fs.readdirSync(host.gate.env.SPENDGATE_PIN_DIR, { recursive: true }).filter((name) => /agent/.test(name) && /\d/.test(name));
	assert.deepEqual(pins, []);
	assert.deepEqual(fs.readdirSync(path.join(host.gate.env.SPENDGATE_RUN_DIR, 'agents')), []);
	assert.ok(fs.readdirSync(path.join(host.gate.env.SPENDGATE_RUN_DIR, 'trust/merged')).length <= 4);
	const held = fs.readdirSync(`/proc/${host.gate.running.child.pid}/fd`).filter((fd) => {
		try {
			return fs.readlinkSync(`/proc/${host.gate.running.child.pid}/fd/${fd}`).startsWith('net:');
		} catch {
			return false;
		}
	});
	assert.deepEqual(held, []);
});
