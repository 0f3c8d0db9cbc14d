// SPDX-License-Identifier: Apache-2.0
// spendgated as a service: what its processes may do, and a configuration that changes while it runs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Gate, PYTHON, build, chat, startMock, start, until } from './lib.mjs';

let mock;
before(async () => (mock = await startMock()));
after(() => mock.stop());

const statusOf = (pid, task = pid) => Object.fromEntries(fs.readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').split('\n').map((line) => line.split(/:\s*/)));
const enforcerOf = (gate) => Number([...gate.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)?.[1]);

test('the enforcer has no capability and is in its sandbox, every thread; the warden has what it needs', async () => {
	const gate = new Gate(mock);
	await gate.daemon({ workers: 3 });
	const enforcer = enforcerOf(gate);
	await until(() => gate.running.stderr.includes('event=started workers=3'), 'the workers');
	const threads = fs.readdirSync(`/proc/${enforcer}/task`);
	assert.ok(threads.length >= 5, `${threads.length} threads`); // main, ledger writer, workers
	for (const thread of threads) {
		const { Seccomp, NoNewPrivs, CapEff, CapPrm, CapBnd, CapAmb, Uid } = statusOf(enforcer, thread);
		assert.deepEqual({ Seccomp, NoNewPrivs, caps: [CapEff, CapPrm, CapBnd, CapAmb] }, { Seccomp: '2', NoNewPrivs: '1', caps: Array(4).fill('0000000000000000') });
		assert.doesNotMatch(Uid, /^0\t/);
	}
	// CHOWN 0, DAC_OVERRIDE 1, DAC_READ_SEARCH 2, FOWNER 3, KILL 5, SETGID 6, SETUID 7, SETPCAP 8, NET_ADMIN 12, SYS_PTRACE 19, SYS_ADMIN 21, BPF 39
	const mask = [0, 1, 2, 3, 5, 6, 7, 8, 12, 19, 21, 39].reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n).toString(16).padStart(16, '0');
	const warden = statusOf(gate.running.child.pid);
	assert.deepEqual([warden.CapEff, warden.CapPrm, warden.CapBnd], Array(3).fill(mask));
	await gate.stop();
});

test('an enforcer that its sandbox ends is told in the log, and started again', async () => {
	const gate = new Gate(mock);
	await gate.daemon();
	const first = enforcerOf(gate);
	process.kill(first, 'SIGSYS'); // as the kernel does
	await until(() => enforcerOf(gate) !== first, 'another enforcer');
	await gate.logged(new RegExp(`event=enforcer_ended pid=${first} signal=31 reason="it made a system call that its sandbox forbids"`));
	await gate.stop();
});

// An agent with one connection that is kept: a call for each line of its standard input, its status for each answer.
const ONE_CONNECTION = `
import http.client, ssl, sys
connection = http.client.HTTPSConnection("api.openai.com", context=ssl.create_default_context())
connection.connect()
port = connection.sock.getsockname()[1]
for line in sys.stdin:
    connection.request("POST", "/v1/chat/completions", line.strip(), {"content-type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    print(response.status, connection.sock is not None and connection.sock.getsockname()[1] == port, body[:300], flush=True)
`;
const command = (gate, ...args) => start(path.join(build, 'spendgate'), args, { env: gate.env }).done;

test('reload: in force for the next call on a connection that is kept; on an error the last good configuration stays', async () => {
	const gate = new Gate(mock);
	await gate.daemon({ workers: 1 });
	const file = gate.running.child.spawnargs.at(-1);
	const write = (config) => fs.writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
	const agent = gate.begin('kept', { 'limit-usd': '1' }, [PYTHON, '-c', ONE_CONNECTION], [], 'pipe');
	let answers = 0;
	const call = async (model) => {
		agent.child.stdin.write(`${JSON.stringify(chat('mock:tokens=2', { model }).body)}\n`);
		const line = await until(() => agent.stdout.split('\n').slice(0, -1)[answers], `answer ${answers + 1} (${agent.stderr})`);
		answers++;
		assert.match(line, /^\d+ True /, 'the same connection');
		return Number(line.slice(0, 3));
	};
	assert.equal(await call('gpt-4o'), 200);
	assert.equal(await call('gpt-9'), 403);
	write({ workers: 1, unknown_model: 'price_as:gpt-4o' });
	assert.deepEqual(await command(gate, 'reload'), { code: 0, stdout: '', stderr: '' });
	assert.equal(await call('gpt-9'), 200);
	// Refused as a whole, with the place; nothing of it is in force.
	for (const [config, pattern] of [['{"workers": 1,', /config-\d+\.json:1:/], [{ workers: 1, unknown_model: 'deny', prices: '/nowhere' }, /prices: .*nowhere/],
		[{ unknown_model: 'deny', wrokers: 1 }, /unknown key "wrokers"/], [{ unknown_model: 'deny', origins: [{ host: 'new.internal', address: '10.0.0.1:1', provider: 'openai' }] }, /new\.internal.*new to the CA: restart/]]) {
		write(config);
		const refused = await command(gate, 'reload');
		assert.equal(refused.code, 78);
		assert.match(refused.stderr, pattern);
		assert.equal(await call('gpt-9'), 200);
	}
	await gate.logged(/event=reload_refused .*effect="the configuration stays as it was"/);
	// A price of one's own; by SIGHUP; and what needs a restart is said.
	const prices = `${file}.prices`;
	fs.writeFileSync(prices, JSON.stringify({ unit: 'USD per 1,000,000 tokens', models: [{ provider: 'openai', model: 'gpt-own', input: '1', output: '1', context_window: 1000, max_output: 100 }] }));
	write({ workers: 2, durability: 'power', prices });
	gate.running.child.kill('SIGHUP');
	await until(() => /event=reloaded .*restart_needed="workers, durability"/.test(gate.running.stderr), 'what needs a restart');
	assert.equal(await call('gpt-own'), 200);
	assert.equal(await call('gpt-9'), 403);
	assert.match((await command(gate, 'reload')).stdout, /need a restart of spendgated: workers, durability/);
	agent.child.stdin.end();
	assert.equal((await agent.done).code, 0);
	await gate.stop();
});

test('a warden that was restarted gives a running enforcer, and the agents that it knows, its changed configuration', async () => {
	const gate = new Gate(mock);
	await gate.daemon({ unknown_model: 'deny', workers: 1 });
	const enforcer = enforcerOf(gate);
	const agent = gate.begin('adopted', { 'limit-usd': '1' }, [PYTHON, '-c', ONE_CONNECTION], [], 'pipe');
	agent.child.stdin.write(`${JSON.stringify(chat('hi', { model: 'gpt-9' }).body)}\n`);
	await until(() => agent.stdout.startsWith('403 True'), `the refusal (${agent.stderr})`);
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	await gate.daemon({ unknown_model: 'price_as:gpt-4o', workers: 2 });
	assert.equal(enforcerOf(gate), enforcer, 'the enforcer is the same');
	await until(() => gate.running.stderr.includes('event=agent_adopted agent=adopted'), 'the agent');
	agent.child.stdin.write(`${JSON.stringify(chat('hi', { model: 'gpt-9' }).body)}\n`);
	await until(() => agent.stdout.includes('\n200 True'), `the second answer (${agent.stdout})`);
	agent.child.stdin.end();
	await agent.done;
	await gate.stop();
});

test('what an agent had named of its own is removed with it, also when its command was killed', async () => {
	const gate = new Gate(mock, { REQUESTS_CA_BUNDLE: mock.ca });
	await gate.daemon();
	const trust = path.join(gate.env.SPENDGATE_RUN_DIR, 'trust');
	const during = await gate.run('own', {}, ['sh', '-c', 'ls "$(dirname "$REQUESTS_CA_BUNDLE")"']);
	assert.match(during.stdout, /^REQUESTS_CA_BUNDLE.pem$/m);
	const left = () => fs.readdirSync(trust).sort().join();
	await until(() => left() === 'bundle.pem,ca.pem', 'the files to be gone');
	const killed = gate.begin('own', {}, ['sleep', '60']);
	await until(() => left().includes('agent-'), 'the files of the second');
	killed.child.kill('SIGKILL');
	await killed.done;
	for (const pid of fs.readFileSync(await cgroupOf(gate, 'own'), 'utf8').split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
	await until(() => left() === 'bundle.pem,ca.pem', 'the files of the second to be gone');
	await gate.stop();
});

// The list of processes of an agent's cgroup, by the name that the log has.
async function cgroupOf(gate, name) {
	const [, directory] = await until(() => [...gate.running.stderr.matchAll(new RegExp(`event=agent_registered agent=${name} id=\\d+ cgroup=(\\S+)`, 'g'))].at(-1), 'the agent');
	return path.join(directory, 'cgroup.procs');
}

test('a warden that is restarted without any agent takes the enforcer over; the first registration is served', async () => {
	const gate = new Gate(mock);
	await gate.daemon();
	const enforcer = enforcerOf(gate);
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	await gate.daemon();
	assert.equal(enforcerOf(gate), enforcer);
	assert.equal((await gate.run('first', { 'max-requests': 1 }, ['true'])).code, 0);
	assert.doesNotMatch(gate.running.stderr, /start_failed|enforcer_ended/);
	// One that does not come back is ended: it has the ledger.
	gate.running.child.kill('SIGKILL');
	process.kill(enforcer, 'SIGSTOP');
	await gate.running.exited;
	await gate.daemon();
	assert.notEqual(enforcerOf(gate), enforcer);
	await gate.logged(new RegExp(`event=enforcer_stale pid=${enforcer}`));
	assert.equal((await gate.run('second', { 'max-requests': 1 }, ['true'])).code, 0);
	await gate.stop();
});
