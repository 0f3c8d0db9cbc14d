// SPDX-License-Identifier: Apache-2.0
// Agents that are cut off from every network while they have connections: by a breaker when the cap is reached, and by command.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Gate, PYTHON, build, start, startMock, until } from './lib.mjs';

const CUT = { provider: 'EPERM', spliced: 'EPERM', direct: 'EPERM', connected_datagram: 'EPERM', datagram: 'EPERM' };
const REACHED = { provider: 'reached', spliced: 'reached', direct: 'reached', connected_datagram: 'reached', datagram: 'reached' };

// Servers that say what they hear, behind the splice (a public address that is no provider's) and on loopback.
const echoed = [];
let mock, gate, port;
const echo = () => net.createServer((socket) => {
	echoed.push(socket);
	socket.on('error', () => {});
	socket.pipe(socket);
});
const servers = [echo(), echo()], datagrams = dgram.createSocket('udp4');
before(async () => {
	mock = await startMock();
	await start('ip', ['address', 'add', '203.0.113.20/32', 'dev', 'lo']).done;
	await new Promise((resolve) => servers[0].listen(7000, '203.0.113.20', resolve));
	await new Promise((resolve) => servers[1].listen(0, '127.0.0.1', resolve));
	port = servers[1].address().port;
	await new Promise((resolve) => datagrams.bind(port, '127.0.0.1', resolve));
	gate = new Gate(mock);
	await gate.daemon({ budgets: [{ name: 'small', scope: 'host', models: ['gpt-4o-mini'], max_requests: 2, window: '1h', wait: '0s', breaker: { refusals: 1, action: 'cut' } }] });
});
after(async () => {
	await gate.stop();
	for (const socket of echoed) socket.destroy();
	for (const server of servers) server.close();
	datagrams.close();
	await mock.stop();
	await start('ip', ['address', 'del', '203.0.113.20/32', 'dev', 'lo']).done;
});

// An agent that obeys: order(...) is its answer.
function beginAgent(t, name, model) {
	const running = gate.begin(name, {}, [PYTHON, 'agents/cut.py', model], [], 'pipe');
	t.after(async () => {
		running.child.kill();
		await running.exited;
	});
	let answers = 0;
	return async (...order) => {
		running.child.stdin.write(`${order.join(' ')}\n`);
		const line = await until(() => running.stdout.split('\n').slice(0, -1)[answers], `the answer to ${order.join(' ')} (${running.stderr})`, 30000);
		answers++;
		return JSON.parse(line);
	};
}

const command = (...words) => start(path.join(build, 'spendgate'), words, { env: gate.env }).done;
const audit = (event, name) => fs.readFileSync(path.join(gate.env.SPENDGATE_STATE_DIR, 'ledger/audit.jsonl'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)).filter((line) => line.event === event && line.agent === name);
const isCut = async (name) => {
	const { stdout } = await until(async () => { // a daemon may be starting
		const status = await command('status', '--json');
		return status.code === 0 && status;
	}, 'the status');
	return JSON.parse(stdout).agents.find((agent) => agent.name === name).cut;
};

function assertEnded(connections) {
	assert.equal(Object.keys(connections).length, 5);
	for (const how of Object.values(connections)) assert.ok(['ECONNABORTED', 'ECONNRESET'].includes(how), JSON.stringify(connections));
}

test('case 74: the cap is reached with live connections: the breaker cuts the agent off, every connection has ended, and resume lets it go on', async (t) => {
	const order = beginAgent(t, 'c74-cut', 'gpt-4o-mini');
	assert.equal(await order('open', port), 200);
	assert.equal(await order('call'), 200);
	const { requests } = await mock.bill();
	const third = await order('call'); // refused; and how much of that it still hears is a race
	assert.ok([429, 'EPERM', 'ECONNABORTED', 'ECONNRESET'].includes(third), `${third}`);
	const ended = await order('ended');
	assertEnded(ended);
	assert.deepEqual(await order('try', port), CUT);
	await until(() => audit('agent_cut', 'c74-cut').length, 'the line of the audit log');
	assert.deepEqual(audit('agent_cut', 'c74-cut').map(({ who, reason, connections }) => ({ who, reason, some: connections >= 5 })), [{ who: 'breaker:small', reason: 'refusals', some: true }]);
	assert.equal((await mock.bill()).requests, requests);
	assert.equal(await isCut('c74-cut'), true);

	assert.match((await command('resume', 'c74-cut')).stdout, /1 agents/);
	assert.deepEqual(await order('try', port), REACHED);
	assert.equal(await order('call'), 402); // the cap is what it was
	assert.equal((await mock.bill()).requests, requests);
	assert.equal(await isCut('c74-cut'), false);
});

test('spendgate cut: other agents go on, it holds over the death of enforcer and warden, and ends by resume', async (t) => {
	const order = beginAgent(t, 'cut-by-hand', 'gpt-4o'), other = beginAgent(t, 'goes-on', 'gpt-4o');
	assert.equal(await order('open', port), 200);
	assert.equal(await other('open', port), 200);
	const { code, stdout } = await command('cut', 'cut-by-hand', '--reason', 'it runs wild');
	assert.equal(code, 0);
	assert.match(stdout, /^cut-by-hand: 1 agents, [5-9] connections ended\n$/);
	assertEnded(await order('ended'));
	assert.equal(await other('call'), 200);
	const [{ who, reason }] = await until(() => audit('agent_cut', 'cut-by-hand').length && audit('agent_cut', 'cut-by-hand'), 'the line of the audit log');
	assert.match(who, /^cli:/);
	assert.equal(reason, 'it runs wild');

	const enforcer = () => Number([...gate.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)?.[1]);
	const before = enforcer();
	process.kill(before, 'SIGKILL');
	assert.deepEqual(await order('try', port), CUT);
	await until(() => enforcer() !== before, 'another enforcer');
	assert.equal(await isCut('cut-by-hand'), true);
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	assert.deepEqual(await order('try', port), CUT);
	await gate.daemon();
	assert.deepEqual(await order('try', port), CUT);
	assert.equal(await isCut('cut-by-hand'), true);
	assert.equal((await command('resume', 'cut-by-hand')).code, 0);
	assert.deepEqual(await order('try', port), REACHED);
	assert.equal(await order('call'), 200);
	assert.equal(await isCut('cut-by-hand'), false);

	const nobody = await command('cut', 'nobody');
	assert.deepEqual([nobody.code, /there is no agent "nobody"/.test(nobody.stderr)], [1, true]);
});
