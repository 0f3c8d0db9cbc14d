// SPDX-License-Identifier: Apache-2.0
// Without spendgate-runc: what runs already becomes an agent, by hand and by the engine's events.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Host, PROVIDER, build, chat, start, until } from './lib.mjs';

const scratch = process.env.SPENDGATE_SCRATCH;
let host;
before(async () => {
	host = new Host();
	await host.begin();
});
beforeEach(() => host.mock.reset());
after(() => host.end());

const curl = (more = '') => `curl -sS -m 20 ${more} -d '${JSON.stringify(chat('mock:tokens=4').body)}' https://api.openai.com/v1/chat/completions`;
const served = (text) => text.match(/"completion_tokens":/g)?.length ?? 0;
const spendgate = (...args) => start(path.join(build, 'spendgate'), args, { env: host.gate.env }).done;
const socket = () => ['--docker', `${host.folder}/docker.sock`];
const plain = (name, ...more) => host.docker('run', '-d', '--runtime', 'runc', '--name', name, '--add-host', `api.openai.com:${PROVIDER}`, '-v', `${scratch}:/out`, ...more);
const exec = (name, command) => host.client('exec', name, 'sh', '-c', command).then(({ stdout, stderr }) => stdout + stderr);

// One connection from before, used again when told to.
const KEEPS = `
import http.client, json, os, ssl, time
connection = http.client.HTTPSConnection("api.openai.com", context=ssl._create_unverified_context(), timeout=20)
def call():
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(${JSON.stringify(chat('mock:tokens=4').body)}))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError as error:
        connection.close()
        return "ended"
print(call(), flush=True)
open("/out/before", "w").close()
while not os.path.exists("/out/go"):
    time.sleep(0.02)
for i in range(3):
    print(call(), flush=True)
`;

test('attach: old connections end, new ones are metered, and programs started later trust us', async () => {
	plain('running', 'agents', 'sh', '-c', 'python3 -c "$0"; sleep 1000', KEEPS);
	await until(() => fs.existsSync(path.join(scratch, 'before')), 'the connection from before');
	const { code, stdout, stderr } = await spendgate('attach', ...socket(), '--label', 'spendgate.budget.max-requests=1', 'running');
	assert.equal(code, 0, stderr);
	assert.match(stdout, /running: agent running; 1 connections from before ended, [1-9]\d* files of certificates mounted/);
	fs.writeFileSync(path.join(scratch, 'go'), '');
	const lines = await until(() => { const all = host.docker('logs', 'running').split('\n'); return all.length === 4 && all; }, 'its calls');
	assert.deepEqual(lines, ['200', 'ended', '200', '402']);
	assert.equal((await host.mock.bill()).requests, 2);
	assert.match(await exec('running', curl()), /insufficient_quota/);

	const again = await spendgate('attach', ...socket(), 'running');
	assert.equal(again.code, 1);
	assert.match(again.stderr, /it is agent running already/);

	assert.equal((await spendgate('detach', ...socket(), 'running')).code, 0);
	assert.equal(served(await exec('running', curl('-k'))), 1);
	const none = await spendgate('detach', ...socket(), 'running');
	assert.match(none.stderr, /is no agent/);
	host.docker('rm', '-f', 'running');
	await host.empty();
});

// Connects, says so, and waits for the end; then tries again.
const LOSES = `
import errno, socket, sys
def name(error): return errno.errorcode.get(error.errno, str(error))
kept = socket.create_connection(("api.openai.com", 443), 20)
print("connected", flush=True)
try: kept.recv(1); print("closed", flush=True)
except OSError as error: print(name(error), flush=True)
try: socket.create_connection(("api.openai.com", 443), 20); print("reached", flush=True)
except OSError as error: print(name(error), flush=True)
`;

test('cut: a container in a network of its own loses its connections, and makes none until it may go on', async () => {
	host.docker('run', '-d', '--name', 'loses', '--add-host', `api.openai.com:${PROVIDER}`, '--label', 'spendgate.budget.max-requests=1', 'agents', 'sh', '-c', 'python3 -c "$0"; sleep 1000', LOSES);
	const said = (count) => until(() => { const all = host.docker('logs', 'loses').split('\n'); return all.filter(Boolean).length === count && all; }, `${count} lines`);
	await said(1);
	const { code, stdout, stderr } = await spendgate('cut', 'loses');
	assert.deepEqual([code, stdout], [0, 'loses: 1 agents, 1 connections ended\n'], stderr);
	assert.deepEqual(await said(3), ['connected', 'ECONNABORTED', 'EPERM']);
	assert.equal((await spendgate('resume', 'loses')).code, 0);
	assert.equal(served(await exec('loses', curl())), 1);
	host.docker('rm', '-f', 'loses');
	await host.empty();
});

test('attach by the path of a cgroup, and what is not there', async () => {
	const id = plain('by-path', '--cap-add', 'SYS_ADMIN', 'agents', 'sleep', '1000');
	const { code, stdout, stderr } = await spendgate('attach', '--label', 'spendgate.budget.max-requests=1', '--label', 'spendgate.agent=by-path', `${process.env.SPENDGATE_CGROUP_PARENT}/${id}`);
	assert.equal(code, 0, stderr);
	assert.match(stdout, /agent by-path/);
	await host.logged(/event=agent_unconfined agent=by-path id=\d+ capabilities="CAP_SYS_ADMIN" /);
	const answers = await exec('by-path', `${curl()}; ${curl()}`);
	assert.equal(served(answers), 1, answers);
	host.docker('rm', '-f', 'by-path');
	await host.empty();
	assert.match((await spendgate('attach', ...socket(), 'nowhere')).stderr, /nowhere: no cgroup of this name is there/);
	assert.match((await spendgate('attach', '/nowhere')).stderr, /no cgroup of this name/);
	assert.match((await spendgate('attach', '--label', 'spendgate.nonsense=1', '/nowhere')).stderr, /there is no such label/);
});

test('watch: labelled containers are attached as they start, also after the engine was restarted', async () => {
	const watch = start(path.join(build, 'spendgate'), ['docker', 'watch', ...socket()], { env: host.gate.env });
	try {
		await until(() => watch.stderr.includes('event=watching'), 'the watch');
		const attached = async (name) => {
			plain(name, '--label', 'spendgate.budget.max-requests=1', 'agents', 'sleep', '1000');
			await until(() => watch.stderr.includes(`name=${name} `), `${name} to be attached`);
			const answers = await exec(name, `${curl()}; ${curl()}`);
			assert.equal(served(answers), 1, answers + watch.stderr);
			assert.match(answers, /insufficient_quota/);
		};
		await attached('watched');
		plain('unlabelled', 'agents', 'sleep', '1000');
		host.restartEngine();
		await until(() => watch.stderr.match(/event=watching/g).length === 2, 'the watch to come back');
		await attached('later');
		// What starts while spendgated is away is not lost.
		host.gate.running.child.kill('SIGKILL');
		await host.gate.running.exited;
		plain('meanwhile', '--label', 'spendgate.budget.max-requests=1', 'agents', 'sleep', '1000');
		await until(() => watch.stderr.includes('event=daemon_away'), 'the watch to miss spendgated');
		await host.gate.daemon(host.config);
		await until(() => watch.stderr.match(/event=attached .*name=meanwhile /), 'it to be attached');
		host.docker('rm', '-f', 'meanwhile');
		assert.doesNotMatch(watch.stderr, /unlabelled|attach_failed/);
		assert.equal((await host.status()).agents.length, 2);
		// The shim was first: nothing to do.
		host.docker('run', '-d', '--name', 'shimmed', '--label', 'spendgate.budget.max-requests=1', 'agents', 'sleep', '1000');
		host.docker('rm', '-f', 'shimmed', 'watched', 'later', 'unlabelled');
		await host.empty();
		assert.doesNotMatch(watch.stderr, /attach_failed/);
		// What an image says of itself is not what its container was given.
		host.label('chooses', { agent: 'somebody' });
		plain('chosen', 'chooses', 'sleep', '1000');
		await until(() => watch.stderr.includes('event=attach_failed'), 'the refusal');
		assert.match(watch.stderr, /attach_failed .*name=chosen .*label spendgate\.agent .*is the image's own/);
		const { code, stdout, stderr } = await spendgate('attach', ...socket(), '--label', 'spendgate.agent=somebody', 'chosen');
		assert.match(stdout, /agent somebody/, `${code} ${stderr}`);
		host.docker('rm', '-f', 'chosen');
		await host.empty();
	} finally {
		watch.child.kill();
		await watch.done;
	}
});

test('a guard on the parent: what is no agent is refused from its first packet, and what becomes one is not', async () => {
	const parent = process.env.SPENDGATE_CGROUP_PARENT;
	const guard = await spendgate('attach', '--guard', parent);
	assert.equal(guard.code, 0, guard.stderr);
	const first = (name, ...more) => host.client('run', '--rm', '--runtime', 'runc', '--name', name, '--add-host', `api.openai.com:${PROVIDER}`, ...more, 'agents', 'sh', '-c', `${curl('-k')}; ${curl('-k')}`);
	assert.match((await first('unknown')).stderr, /(Couldn't connect|Failed to connect)/);
	assert.match((await first('unknown-host', '--network', 'host')).stderr, /(Couldn't connect|Failed to connect|Could not resolve)/);
	assert.equal((await host.mock.bill()).requests, 0);

	// An agent below it is as ever; it survives a restart of spendgated; it lets private networks be.
	await host.restartGate();
	const agent = await host.run({ agent: 'below', 'budget.max-requests': 1 }, ['sh', '-c', `${curl()}; ${curl()}`]);
	assert.equal(served(agent.stdout), 1, agent.stderr);
	assert.match((await first('again')).stderr, /(Couldn't connect|Failed to connect)/);
	plain('neighbour', 'agents', 'python3', '-m', 'http.server', '8080');
	const address = host.docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'neighbour');
	const { code, stderr } = await host.client('run', '--rm', '--runtime', 'runc', 'agents', 'curl', '-sS', '--retry', '20', '--retry-connrefused', '--retry-delay', '1', `http://${address}:8080/`);
	assert.equal(code, 0, stderr);

	assert.equal((await spendgate('detach', parent)).code, 0);
	assert.equal(served((await first('free')).stdout), 2);
	host.docker('rm', '-f', 'neighbour');
	await host.empty();
});

test('a guard of the configuration: there from the start of the machine, made again with its group, and gone with its line', async () => {
	const group = `/sys/fs/cgroup${process.env.SPENDGATE_CGROUP_PARENT}`;
	const leadsOut = () => {
		fs.mkdirSync(`${group}/somebody`, { recursive: true });
		const { status } = spawnSync('sh', ['-c', `echo $$ > ${group}/somebody/cgroup.procs && exec curl -sk -m 5 -o ${scratch}/page https://${PROVIDER}/`]);
		fs.rmdirSync(`${group}/somebody`);
		return status === 0;
	};
	// A machine that starts knows no agents and has no pins.
	host.gate.running.child.kill();
	await host.gate.running.exited;
	await start(path.join(build, 'spendgated'), ['--purge'], { env: host.gate.env }).done;
	fs.rmSync(host.gate.env.SPENDGATE_RUN_DIR, { recursive: true });
	assert.ok(leadsOut());
	fs.rmdirSync(group);
	await host.gate.daemon({ ...host.config, guards: [process.env.SPENDGATE_CGROUP_PARENT] });
	await until(() => host.log().includes('event=started'), 'spendgated'); // what systemd lets the engine wait for
	assert.ok(!leadsOut());
	await host.restartGate('SIGKILL');
	// The configuration that it was started with this time has no guard.
	await until(leadsOut, 'the guard to be gone');

	const file = host.gate.running.child.spawnargs.at(-1);
	const reload = (guards) => (fs.writeFileSync(file, JSON.stringify({ ...host.config, guards })), spendgate('reload'));
	assert.match((await reload(['/'])).stderr, /guards\[0\]: must be the path of a cgroup below the root/);
	assert.equal((await reload([process.env.SPENDGATE_CGROUP_PARENT])).code, 0);
	assert.ok(!leadsOut());
	fs.rmdirSync(group);
	await until(() => fs.existsSync(`${group}/cgroup.procs`) && !leadsOut(), 'the guard to be made again');
	assert.equal((await reload([])).code, 0);
	assert.ok(leadsOut());
	assert.deepEqual((await host.status()).agents, []);
});
