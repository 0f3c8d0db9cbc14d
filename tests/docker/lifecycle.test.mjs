// SPDX-License-Identifier: Apache-2.0
// What containers, engine and spendgated go through: ends, restarts, a hundred at once; and that nothing is left of it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Host, PROVIDER, build, chat, dollars, start, until } from './lib.mjs';

const scratch = process.env.SPENDGATE_SCRATCH;
let host, clean;
before(async () => {
	host = new Host();
	await host.begin({ profiles: { small: { budgets: [{ name: 'small', max_requests: 1, window: 'lifetime' }] } } });
	host.load('go');
	await takeInventory();
});
beforeEach(() => host.mock.reset());
after(() => host.end());

const curl = (more = '') => `curl -sS -m 20 ${more} -d '${JSON.stringify(chat('mock:tokens=4').body)}' https://api.openai.com/v1/chat/completions`;
const served = (text) => text.match(/"completion_tokens":/g)?.length ?? 0;
const labels = (object) => Object.entries(object).flatMap(([key, value]) => ['--label', `spendgate.${key}=${value}`]);
const background = (name, object, ...command) => host.docker('run', '-d', '--name', name, '--add-host', `api.openai.com:${PROVIDER}`, '-v', `${scratch}:/out`, ...labels(object), 'agents', ...command);
const call = async (name, more) => (await host.client('exec', name, 'sh', '-c', curl(more))).stdout;

// What a process holds, by kind: the text names what is left over.
function held(pid) {
	const kinds = {};
	for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
		let target;
		try {
			target = fs.readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, '');
		} catch {
			continue; // closed meanwhile
		}
		kinds[target] = (kinds[target] ?? 0) + 1;
	}
	return Object.entries(kinds).map(([target, count]) => `${count} ${target}`).sort();
}

// Processes of spendgated, what they hold, and what is pinned, mounted and in groups.
function inventory() {
	const warden = host.gate.running.child.pid;
	const enforcer = Number(fs.readFileSync(`/proc/${warden}/task/${warden}/children`, 'utf8').trim().split(' ')[0]);
	const groups = execFileSync('find', [`/sys/fs/cgroup${process.env.SPENDGATE_CGROUP_PARENT}`, '-mindepth', '1', '-type', 'd'], { encoding: 'utf8' });
	return {
		warden: held(warden),
		enforcer: held(enforcer),
		pins: fs.readdirSync(path.join(host.gate.env.SPENDGATE_PIN_DIR, 'agents')).length,
		agents: fs.readdirSync(path.join(host.gate.env.SPENDGATE_RUN_DIR, 'agents')).length,
		mounts: fs.readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n').length,
		groups: groups.trim().split('\n').filter(Boolean).length,
	};
}

// Of the processes that are there now, once they have what they make at first need: the audit log, for one.
async function takeInventory() {
	await host.run({ agent: 'warm', 'budget.max-requests': 1 }, ['/call', '2'], { image: 'go' });
	await host.empty();
	clean = inventory();
}

// Descriptors of connections that were just closed go a little later.
async function isClean() {
	await host.empty();
	let now;
	await until(() => JSON.stringify((now = inventory())) === JSON.stringify(clean), 'everything to be as before', 20000).catch(() => assert.deepEqual(now, clean));
}

test('a hundred containers at once: the first act of every one is metered', async () => {
	const count = Number(process.env.SPENDGATE_CONTAINERS ?? 100);
	const results = await Promise.all(Array.from({ length: count }, (_, i) => host.run({ agent: `first-${i}`, 'budget.max-requests': 1 }, ['/call', '2'], { image: 'go' })));
	for (const { stdout, stderr } of results) assert.equal(stdout, '200\n402\n', stderr);
	assert.equal((await host.mock.bill()).requests, count);
	await isClean();
});

test('stop, kill, rm -f: the agent is gone each time, and its spending is not', async () => {
	background('ended', { 'budget.max-requests': 4 }, 'sleep', '1000');
	assert.equal(served(await call('ended')), 1);
	for (const action of [['stop', '-t', '0'], ['kill']]) {
		host.docker(...action, 'ended');
		await host.empty();
		host.docker('start', 'ended');
		assert.equal(served(await call('ended')), 1);
	}
	host.docker('rm', '-f', 'ended');
	await host.empty();
	background('ended', { 'budget.max-requests': 4 }, 'sleep', '1000');
	assert.equal(served(await call('ended')), 1);
	assert.match(await call('ended'), /insufficient_quota/);
	host.docker('rm', '-f', 'ended');
	assert.equal((await host.mock.bill()).requests, 4);
	await isClean();
});

test('a restart policy: each life is an agent, of one budget', async () => {
	const restarts = 2;
	host.docker('run', '-d', '--name', 'reborn', '--restart', `on-failure:${restarts}`, '--add-host', `api.openai.com:${PROVIDER}`, ...labels({ 'budget.max-requests': 2 }), 'agents', 'sh', '-c', `${curl()}; exit 1`);
	await until(() => host.docker('inspect', '-f', '{{.RestartCount}} {{.State.Running}}', 'reborn') === `${restarts} false`, 'its restarts', 30000);
	assert.equal(served(host.docker('logs', 'reborn')), 2);
	assert.equal((await host.mock.bill()).requests, 2);
	host.docker('rm', 'reborn');
	await isClean();
});

test('rename: it goes on with its budget', async () => {
	background('before', { 'budget.max-requests': 2 }, 'sleep', '1000');
	assert.equal(served(await call('before')), 1);
	host.docker('rename', 'before', 'after');
	assert.equal(served(await call('after')), 1);
	assert.match(await call('after'), /insufficient_quota/);
	host.docker('rm', '-f', 'after');
	await isClean();
});

test('the engine restarts and containers live on: metered with it away, and after', async () => {
	background('living', { 'budget.max-requests': 2 }, 'sh', '-c', `until [ -e /out/engine-away ]; do sleep 0.02; done; ${curl()} > /out/answer.part; mv /out/answer.part /out/answer; sleep 1000`);
	host.engine('stop');
	fs.writeFileSync(path.join(scratch, 'engine-away'), '');
	const answer = path.join(scratch, 'answer');
	await until(() => fs.existsSync(answer), 'the call with the engine away');
	assert.equal(served(fs.readFileSync(answer, 'utf8')), 1);
	host.engine('start');
	assert.equal(served(await call('living')), 1);
	assert.match(await call('living'), /insufficient_quota/);
	assert.equal((await host.mock.bill()).requests, 2);
	host.docker('rm', '-f', 'living');
	await isClean();
});

// -k: the agent would take an unmetered answer too.
test('spendgated restarts, and is killed, under an agent that calls all the time: no call goes around it', async () => {
	background('steady', { 'budget.limit-usd': 100 }, 'sh', '-c', `until [ -e /out/enough ]; do ${curl('-k')} | grep -c completion_tokens >> /out/served; done; sleep 1000`);
	const count = () => (fs.existsSync(path.join(scratch, 'served')) ? fs.readFileSync(path.join(scratch, 'served'), 'utf8').split('\n').filter((line) => line === '1').length : 0);
	for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM']) {
		const before = count();
		await until(() => count() > before + 2, 'calls');
		await host.restartGate(signal);
	}
	const before = count();
	await until(() => count() > before + 2, 'calls after the restarts');
	fs.writeFileSync(path.join(scratch, 'enough'), '');
	await until(async () => (await host.status()).agents[0].held_usd === undefined || dollars((await host.status()).agents[0].held_usd) === 0n, 'open calls to end');
	const bill = await until(async () => {
		const one = await host.mock.bill();
		await new Promise((resolve) => setTimeout(resolve, 300));
		return (await host.mock.bill()).requests === one.requests && one;
	}, 'the last call');
	const [agent] = (await host.status()).agents;
	assert.ok(dollars(agent.spent_usd) >= BigInt(bill.nanousd), `${agent.spent_usd} spent, ${bill.nanousd} billed`);
	assert.ok(bill.requests >= count(), `${bill.requests} billed, ${count()} served`);
	host.docker('rm', '-f', 'steady');
	await takeInventory();
});

test('a profile: by label, and for all containers', async () => {
	const by = await host.run({ profile: 'small' }, ['/call', '2'], { image: 'go' });
	assert.equal(by.stdout, '200\n402\n', by.stderr);
	host.configure(['--run-dir', host.gate.env.SPENDGATE_RUN_DIR, '--profile', 'small']);
	host.restartEngine();
	const all = await host.client('run', '--rm', '--name', 'unlabelled', '--add-host', `api.openai.com:${PROVIDER}`, 'go', '/call', '2');
	assert.equal(all.stdout, '200\n402\n', all.stderr);
	assert.equal((await host.mock.bill()).requests, 2);
	await isClean();
});

test('fail-open: without spendgated a container starts; by default it does not', async () => {
	host.configure(['--run-dir', path.join(scratch, 'nobody'), '--fail-open']);
	host.restartEngine();
	const { code, stdout } = await host.run({ 'budget.max-requests': 1 }, ['echo', 'started'], { options: ['--name', 'open'] });
	assert.equal(code, 0);
	assert.equal(stdout, 'started\n');
	// With the default it does not start.
	host.configure(['--run-dir', path.join(scratch, 'nobody')]);
	host.restartEngine();
	const closed = await host.run({ 'budget.max-requests': 1 }, ['echo', 'started']);
	assert.notEqual(closed.code, 0);
	assert.match(closed.stderr, /no spendgated answers/);
});

test('uninstall: the configuration is as before, and a label means nothing', async () => {
	const uninstall = () => start(path.join(build, 'spendgate'), ['docker', 'uninstall', '--daemon-json', host.daemonFile]).done;
	assert.match((await uninstall()).stdout, /changed; the engine takes it up with/);
	assert.deepEqual(JSON.parse(fs.readFileSync(host.daemonFile)), { 'live-restore': true, 'log-level': 'warn' });
	assert.match((await uninstall()).stdout, /nothing to change/);
	host.restartEngine();
	background('free', { 'budget.max-requests': 1 }, 'sleep', '1000');
	assert.deepEqual((await host.status()).agents, []);
	assert.equal(served(await call('free', '-k')) + served(await call('free', '-k')), 2);
	host.docker('rm', '-f', 'free');
});
