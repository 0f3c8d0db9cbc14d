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
const begin = (image, name, object, ...command) => host.docker('run', '-d', '--name', name, '--add-host', `api.openai.com:${PROVIDER}`, '-v', `${scratch}:/out`, ...labels(object), image, ...command);
const background = (...rest) => begin('agents', ...rest);
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

// All of them live before the first may end. SPENDGATE_CONTAINERS=500 starts as many.
test('a hundred containers at once: the first act of every one is metered', async () => {
	const count = Number(process.env.SPENDGATE_CONTAINERS ?? 100);
	const create = async (number) => {
		const labels = { 'spendgate.agent': `first-${number}`, 'spendgate.budget.max-requests': '1' };
		const HostConfig = { ExtraHosts: [`api.openai.com:${PROVIDER}`], Binds: [`${scratch}:/out`] };
		return JSON.parse(await host.api('POST', '/containers/create', { Image: 'go', Cmd: ['/call', '2', '/out/all-live'], Labels: labels, HostConfig })).Id;
	};
	const ids = await Promise.all(Array.from({ length: count }, (_, number) => create(number)));
	await Promise.all(ids.map((id) => host.api('POST', `/containers/${id}/start`)));
	await until(async () => (await host.mock.bill()).requests === count, 'a call of each', 60000);
	assert.equal((await host.status()).agents.length, count);
	fs.writeFileSync(path.join(scratch, 'all-live'), '');
	for (const id of ids) {
		await host.api('POST', `/containers/${id}/wait`);
		const text = (await host.api('GET', `/containers/${id}/logs?stdout=1&stderr=1`)).toString('latin1').replace(/[\x01\x02]\0{3}[^]{4}/g, '');
		assert.equal(text, '200\n402\n');
	}
	await Promise.all(ids.map((id) => host.api('DELETE', `/containers/${id}`)));
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

test('spendgated stops under a stream: it is read to its end and charged exactly, what is idle is closed, what is new is refused', async () => {
	begin('agents', 'streaming', { 'budget.limit-usd': 1 }, 'sleep', '1000');
	const body = JSON.stringify({ ...chat('mock:tokens=40 mock:delay=60').body, stream: true });
	const stream = host.client('exec', 'streaming', 'sh', '-c', `curl -sSN -m 30 -d '${body}' https://api.openai.com/v1/chat/completions | tee /out/stream`);
	await until(() => fs.existsSync(path.join(scratch, 'stream')) && fs.readFileSync(path.join(scratch, 'stream'), 'utf8').includes('data:'), 'its first words');
	host.gate.running.child.kill('SIGTERM');
	await until(async () => (await host.client('exec', 'streaming', 'sh', '-c', curl())).code === 7, 'new connections to be refused');
	const { code, stdout } = await stream;
	assert.equal(code, 0);
	assert.match(stdout, /data: \[DONE\]/);
	await host.gate.running.exited;
	await host.gate.daemon(host.config);
	const spent = async () => dollars((await host.status()).agents[0].spent_usd);
	await until(async () => (await host.status()).agents.length === 1, 'the agent');
	assert.equal(await spent(), BigInt((await host.mock.bill()).nanousd));
	assert.equal(served(await call('streaming')), 1);
	host.docker('rm', '-f', 'streaming');
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

test('userns-remap: the container\'s root is nobody on the host, and trusts us and is metered as ever', async () => {
	// The sandbox's own mounts; and a user that every host has.
	const ranges = path.join(scratch, 'ranges');
	fs.writeFileSync(ranges, 'nobody:700000:65536\nnogroup:700000:65536\n');
	for (const file of ['/etc/subuid', '/etc/subgid']) execFileSync('mount', ['--bind', ranges, file]);
	host.configure(['--run-dir', host.gate.env.SPENDGATE_RUN_DIR]);
	const before = fs.readFileSync(host.daemonFile);
	fs.writeFileSync(host.daemonFile, JSON.stringify({ ...JSON.parse(before), 'userns-remap': 'nobody:nogroup' }));
	host.restartEngine();
	host.load('go');
	begin('go', 'remapped', { 'budget.max-requests': 1 }, '/call', '2', '/out/remapped-may-end');
	await until(async () => (await host.mock.bill()).requests === 1, 'its first call');
	const pid = host.docker('inspect', '-f', '{{.State.Pid}}', 'remapped');
	assert.match(fs.readFileSync(`/proc/${pid}/uid_map`, 'utf8'), /^ +0 +700000 /);
	fs.writeFileSync(path.join(scratch, 'remapped-may-end'), '');
	await host.client('wait', 'remapped');
	assert.equal(host.docker('logs', 'remapped'), '200\n402');
	await host.logged(/event=agent_registered agent=remapped /);
	host.docker('rm', 'remapped');
	await host.empty();
	fs.writeFileSync(host.daemonFile, before);
	for (const file of ['/etc/subuid', '/etc/subgid']) execFileSync('umount', [file]);
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
