// SPDX-License-Identifier: Apache-2.0
// Each exit code, and an error that names the remedy: on a machine that lacks something, as far as a mount namespace can take it away.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Gate, build, chat, dollars, scratch, start, startMock, until } from './lib.mjs';

const program = (name) => path.join(build, name);
let mock;
before(async () => (mock = await startMock()));
after(() => mock.stop());

// `spendgated` after a preparation, in a mount namespace of its own.
const daemonIn = async (preparation, prefix = '', env = {}) => {
	const gate = new Gate(mock, env);
	const result = await start('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', `${preparation}\nexec ${prefix} "$0"`, program('spendgated')], { env: gate.env }).done;
	assert.ok(!fs.existsSync(gate.env.SPENDGATE_PIN_DIR), 'what it had pinned before it failed');
	return result;
};
const told = async (result, code, pattern) => {
	const { code: actual, stderr } = await result;
	assert.match(stderr, pattern);
	assert.equal(actual, code, stderr);
};

test('69: a kernel that is too old', () => told(daemonIn('', 'setarch --uname-2.6'), 69, /this is Linux 2\.6\.\S+: spendgate needs 6\.1 or later/));
test('69: no BTF', () => told(daemonIn('mount -t tmpfs none /sys/kernel/btf'), 69, /btf\/vmlinux is missing: use a kernel that was built with CONFIG_DEBUG_INFO_BTF/));
test('69: no cgroup v2, and none can be mounted', () => told(
	daemonIn('awk \'{for(i=7;i<=NF;i++) if($i=="-" && $(i+1)=="cgroup2") print $5}\' /proc/self/mountinfo | while read -r m; do umount -l "$m"; done', 'setpriv --bounding-set=-sys_admin'),
	69, /no cgroup v2 hierarchy is mounted, and none can be .*: boot with systemd\.unified_cgroup_hierarchy=1/));
test('77: not root, each program', async () => {
	const nobody = (...args) => start('setpriv', ['--reuid=65534', '--clear-groups', ...args], {}).done;
	await told(nobody(program('spendgated')), 77, /run it with sudo/);
	await told(nobody(program('spendgate'), 'run', '--', 'true'), 77, /use sudo/);
});
test('64: usage, each program', async () => {
	await told(start(program('spendgated'), ['--nonsense']).done, 64, /unrecognized option/);
	for (const command of ['run', 'status', 'reload', 'meter', 'price']) await told(start(program('spendgate'), [command, '--nonsense']).done, 64, /unrecognized option/);
});
test('78: a configuration that is refused; --check says so without a start', async () => {
	const file = path.join(scratch, 'exit-config.json');
	fs.writeFileSync(file, '{"unknown_model": "maybe"}');
	await told(start(program('spendgated'), ['--check', '--config', file]).done, 78, /exit-config\.json: .*must be deny, allow or price_as/);
	for (const [user, pattern] of [['root', /must not run as root/], ['nobody-here', /"nobody-here" does not exist: useradd/]]) {
		fs.writeFileSync(file, JSON.stringify({ user }));
		await told(start(program('spendgated'), ['--check', '--config', file]).done, 78, pattern);
	}
	fs.writeFileSync(file, '{"unknown_model": "allow"}');
	await told(start(program('spendgated'), ['--check', '--config', file]).done, 0, /^$/);
});
test('73: a full disk at the start', async () => {
	const full = path.join(scratch, 'full');
	fs.mkdirSync(full);
	const fill = `mount -t tmpfs -o size=64k none ${full}; head -c 1000000 /dev/zero > ${full}/filler 2>/dev/null || true`;
	await told(daemonIn(fill, '', { SPENDGATE_STATE_DIR: `${full}/state` }), 73, /No space left on device" remedy="make room on that file system/);
	await told(daemonIn(fill, '', { SPENDGATE_RUN_DIR: `${full}/run` }), 73, /No space left on device/);
});
test('1: a start that fails leaves nothing pinned where nobody is fenced, and every fence where somebody is', async () => {
	const gate = new Gate(mock);
	const pins = gate.env.SPENDGATE_PIN_DIR, state = gate.env.SPENDGATE_STATE_DIR;
	// After the pins comes the CA, in a folder.
	const failing = async () => {
		fs.mkdirSync(state, { recursive: true });
		if (fs.existsSync(`${state}/ca`)) fs.renameSync(`${state}/ca`, `${state}/away`);
		fs.writeFileSync(`${state}/ca`, '');
		await told(start(program('spendgated'), [], { env: gate.env }).done, 1, /start_failed reason=".*\/ca/);
		fs.rmSync(`${state}/ca`);
		if (fs.existsSync(`${state}/away`)) fs.renameSync(`${state}/away`, `${state}/ca`);
	};
	await failing();
	assert.ok(!fs.existsSync(pins));

	await gate.daemon();
	const agent = gate.begin('fenced', { 'max-requests': 1 }, ['sh', '-c', 'echo up; exec sleep 1000']);
	await until(() => agent.stdout === 'up\n', 'the agent');
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	await failing();
	assert.ok(fs.existsSync(`${pins}/agents/1/sg_connect6`));

	// Nor is a file that can't be understood an agent that has gone.
	const file = `${gate.env.SPENDGATE_RUN_DIR}/agents/1.json`, text = fs.readFileSync(file);
	fs.writeFileSync(file, '{"cgroup":');
	await gate.daemon();
	await gate.logged(/event=agent_unknown id=1 .*effect="it stays fenced/);
	assert.ok(fs.existsSync(`${pins}/agents/1/sg_connect6`));
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	fs.writeFileSync(file, text);
	await gate.daemon();
	agent.child.kill('SIGTERM');
	await agent.done;
	await gate.stop();
});
test('an upgrade with maps of another layout takes running agents over: they are fenced and metered throughout', async () => {
	const gate = new Gate(mock);
	const pins = gate.env.SPENDGATE_PIN_DIR;
	const curl = `curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' -d '${JSON.stringify(chat('mock:tokens=4').body)}' https://api.openai.com/v1/chat/completions`;
	await mock.reset();
	await gate.daemon();
	const agent = gate.begin('upgraded', { 'max-requests': 2 }, ['sh', '-c', `while read -r line; do ${curl}; done`], [], 'pipe');
	const call = async (expected) => {
		agent.child.stdin.write('\n');
		await until(() => agent.stdout === expected, `${expected.length / 4} answers: ${agent.stdout}${agent.stderr}`);
	};
	await call('200\n');
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	fs.unlinkSync(`${pins}/maps/flows`);
	await told(start('bpftool', ['map', 'create', `${pins}/maps/flows`, 'type', 'hash', 'key', '32', 'value', '16', 'entries', '64', 'name', 'flows']).done, 0, /^$/);
	await gate.daemon();
	await until(() => gate.running.stderr.includes('event=started'), 'the new version');
	await gate.logged(/event=pins_set_aside .*made by another version/);
	assert.ok(fs.existsSync(`${pins}/agents/1/sg_connect6`) && !fs.existsSync(`${pins}/before`));
	await call('200\n200\n');
	await call('200\n200\n402\n');
	assert.equal((await mock.bill()).requests, 2);
	agent.child.stdin.end();
	await agent.done;
	await gate.stop();
});
test('an enforcer that ends, also while agents are adopted, is replaced, and what connects meanwhile waits for the next one', async (t) => {
	const gate = new Gate(mock);
	const file = `${gate.env.SPENDGATE_RUN_DIR}/agents/1.json`;
	await gate.daemon();
	const agent = gate.begin('adopted', { 'max-requests': 2 }, ['sh', '-c', `while read -r line; do curl -s -m 20 -o /dev/null -w '%{http_code}\\n' -d '${JSON.stringify(chat('mock:tokens=4').body)}' https://api.openai.com/v1/chat/completions; done`], [], 'pipe');
	t.after(async () => {
		agent.child.kill();
		await gate.stop();
	});
	await until(() => gate.running.stderr.includes('event=agent_registered'), 'the agent');
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	// The start waits for the agent's file, with the enforcer connected.
	const text = fs.readFileSync(file);
	fs.unlinkSync(file);
	await told(start('mkfifo', [file]).done, 0, /^$/);
	await gate.daemon();
	const enforcers = () => [...gate.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].map((match) => Number(match[1]));
	const [ended] = enforcers();
	process.kill(ended, 'SIGKILL');
	await until(() => !fs.existsSync(`/proc/${ended}`) || / Z /.test(fs.readFileSync(`/proc/${ended}/stat`, 'utf8')), 'its end');
	await fs.promises.writeFile(file, text);
	await until(() => enforcers().length === 2, `another enforcer: ${gate.running.stderr}`);
	await gate.logged(/event=agent_adopted agent=adopted/);
	const call = async (answers) => {
		agent.child.stdin.write('\n');
		await until(() => agent.stdout.length === answers.length, `an answer: ${gate.running.stderr}`);
		assert.equal(agent.stdout, answers);
	};
	await call('200\n');
	process.kill(enforcers()[1], 'SIGKILL');
	await call('200\n200\n');
	agent.child.stdin.end();
	await agent.done;
});
test('1: a second instance on the same directory', async () => {
	const gate = new Gate(mock);
	await gate.daemon();
	await told(start(program('spendgated'), [], { env: gate.env }).done, 1, /spendgated is already running on .* \(pid \d+\)/);
	await told(start(program('spendgate'), ['run', '--config', '/no/such/file', '--', 'true'], { env: gate.env }).done, 0, /--config \/no\/such\/file is not read: a spendgated runs already/);
	await gate.stop();
});

test('no port is left in the agent\'s namespace: told, and the agent is not started', async () => {
	const gate = new Gate(mock);
	const { code, stdout, stderr } = await start('unshare', ['--net', 'sh', '-ec', `
ip link set lo up
echo "45000 45000" > /proc/sys/net/ipv4/ip_local_port_range
python3 -c 'import socket, subprocess, sys
a = socket.socket(); a.bind(("127.0.0.1", 45000)); a.listen()
sys.exit(subprocess.run(sys.argv[1:]).returncode)' "$0" run --agent ports -- echo started`, program('spendgate')], { env: gate.env }).done;
	assert.match(stderr, /no listener in the agent's network namespace: .*ip_local_port_range/);
	assert.equal(stdout, '');
	assert.notEqual(code, 0);
});

test('a disk that fills up while calls are made: nothing is served that can\'t be remembered, and it goes on when there is room', async () => {
	const full = path.join(scratch, 'fills');
	fs.mkdirSync(full);
	await start('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'none', full]).done;
	const gate = new Gate(mock, { SPENDGATE_STATE_DIR: full });
	await gate.daemon({ workers: 1 });
	const orders = { calls: Array(8).fill(chat('mock:tokens=5')), maxRetries: 0 };
	await mock.reset();
	await gate.agent('openai.mjs', 'fills', { 'limit-usd': '0.01' }, orders);
	await start('sh', ['-c', `head -c 100000000 /dev/zero > ${full}/filler`]).done;
	const during = await gate.agent('openai.mjs', 'fills', { 'limit-usd': '0.01' }, orders);
	assert.ok(during.results.every((result) => result.ok || result.status), JSON.stringify(during.results));
	assert.ok(BigInt((await mock.bill()).nanousd) <= dollars('0.01'));
	fs.rmSync(path.join(full, 'filler'));
	const after_ = await until(async () => {
		const again = await gate.agent('openai.mjs', 'fills', { 'limit-usd': '0.01' }, { ...orders, calls: orders.calls.slice(0, 1) });
		return again.results[0].ok && again;
	}, 'calls to be served again');
	const bill = await mock.bill();
	assert.ok(BigInt(bill.nanousd) <= dollars('0.01'));
	assert.ok(dollars(after_.status.spent_usd) >= BigInt(bill.nanousd), `spent ${after_.status.spent_usd}, billed ${bill.usd}`);
	await gate.stop();
	await start('umount', [full]).done;
});

// A terminal for a command: says its size anew, then presses Ctrl-C; prints what it showed, and the exit status.
const TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
shown = b""
def wait_for(words):
    global shown
    while words not in shown: shown += os.read(terminal, 4096)
wait_for(b"ready")
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
wait_for(b"33 99")
os.write(terminal, b"\\x03")
wait_for(b"spent")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test('the terminal is the command\'s: its size, its changes, Ctrl-C', async () => {
	const gate = new Gate(mock);
	const script = 'trap "stty size" WINCH; trap "exit 5" INT; echo ready; while :; do sleep 0.05; done';
	const { stdout, stderr } = await start('timeout', ['20', 'python3', '-c', TERMINAL, program('spendgate'), 'run', '--agent', 'terminal', '--', 'sh', '-c', script], { env: gate.env }).done;
	assert.equal(stdout, '5\n', stderr);
});

test('closed standard descriptors are no files of ours: the daemon starts, and nothing is written into what got their numbers', async () => {
	const gate = new Gate(mock);
	const file = path.join(scratch, 'closed.json');
	const { code } = await start('sh', ['-c', 'exec timeout 20 "$0" run --agent closed --status-file "$1" -- sh -c "echo written; exit 3" <&- >&-', program('spendgate'), file], { env: gate.env }).done;
	assert.equal(code, 3);
	assert.equal(JSON.parse(fs.readFileSync(file)).name, 'closed');
});

test('a daemon that was brought along and is killed: the command goes on, its spending is told, and nothing is left', async () => {
	const gate = new Gate(mock);
	const agent = gate.begin('orphaned', { 'max-requests': 5 }, ['sh', '-c', 'curl -sS -m 20 -o /dev/null -H "content-type: application/json" -d "$0" https://api.openai.com/v1/chat/completions; echo ready; read -r line; exit 4', JSON.stringify(chat('mock:tokens=2').body)], [], 'pipe');
	await until(() => agent.stdout.includes('ready'), 'the command');
	process.kill(Number(fs.readFileSync(path.join(gate.env.SPENDGATE_RUN_DIR, 'lock'), 'utf8')), 'SIGKILL');
	agent.child.stdin.end('go\n');
	const { code, stderr } = await agent.done;
	assert.equal(code, 4);
	assert.match(stderr, /agent orphaned spent \$0\.\d+ \(1 call, 0 refused\)/);
	await until(() => !fs.existsSync(gate.env.SPENDGATE_PIN_DIR) && !fs.existsSync(path.join(gate.env.SPENDGATE_RUN_DIR, 'warden.sock')), 'everything to be removed');
});

// In a cgroup and a network namespace of its own, which has one port: makes a connection for each line of its standard input, to the address it is given or one of its own; "free" gives the port back, "take" has another one in its place, which is taken too.
const ATTACHED = `
import socket, sys
open(sys.argv[1], "w").write("0")
port = socket.create_server(("127.0.0.1", 45000))
server = socket.create_server(("203.0.113.99", 9))
for number, line in enumerate(sys.stdin):
    try:
        if line == "free\\n": port.close()
        if line == "take\\n":
            port = socket.create_server(("127.0.0.1", 45001))
            open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("45001 45001")
        socket.create_connection((sys.argv[2] if sys.argv[2:] else "203.0.113.99", 9), 5, ("203.0.113.99", 2000 + number)); print("reached", flush=True)
    except OSError as error: print(error, flush=True)
`;

test('what can\'t be attached stays behind its fence, until it is attached anew, or is gone', async (t) => {
	const gate = new Gate(mock);
	t.after(() => gate.stop());
	await gate.daemon();
	const group = path.join(fs.readFileSync('/proc/self/mountinfo', 'utf8').match(/^(?:\S+ ){4}(\S+) .* - cgroup2 /m)[1], `spendgate-exit-${process.pid}`);
	fs.mkdirSync(group);
	const agent = start('unshare', ['--net', 'sh', '-ec', 'ip link set lo up; ip address add 203.0.113.99/32 dev lo; echo "45000 45000" > /proc/sys/net/ipv4/ip_local_port_range; exec python3 -c "$0" "$1"', ATTACHED, path.join(group, 'cgroup.procs')], { stdio: ['pipe', 'pipe', 'pipe'] });
	t.after(async () => {
		agent.child.kill();
		await agent.done;
		fs.rmdirSync(group);
	});
	let answers = 0;
	const say = async (line) => {
		agent.child.stdin.write(`${line}\n`);
		return until(() => agent.stdout.split('\n').slice(0, -1)[answers], `an answer (${agent.stderr})`).finally(() => answers++);
	};
	const attach = () => start(program('spendgate'), ['attach', '--label', 'spendgate.budget.limit-usd=1', group], { env: gate.env }).done;
	const pins = () => fs.readdirSync(path.join(gate.env.SPENDGATE_PIN_DIR, 'agents')).length;
	assert.equal(await say('connect'), 'reached');
	await told(attach(), 1, /no listener in the agent's network namespace/);
	assert.match(await say('connect'), /refused|not permitted/);
	await gate.logged(/event=agent_refused .*effect="it reaches nothing until/);
	await told(attach(), 1, /no listener in the agent's network namespace/);
	assert.match(await say('free'), /refused|not permitted/);
	await told(attach(), 0, /^$/);
	assert.equal(await say('connect'), 'reached', 'its listener');
	await told(start(program('spendgate'), ['detach', group], { env: gate.env }).done, 0, /^$/);
	assert.equal(pins(), 0);
	assert.equal(await say('take'), 'reached');
	await told(attach(), 1, /no listener in the agent's network namespace/);
	assert.equal(pins(), 1);
	agent.child.kill();
	await agent.done;
	await until(() => pins() === 0, 'the fence to be gone');
});

test('a warden that comes back: who can\'t be adopted keeps nobody else from it, a group that was made anew is fenced anew, and what has ended is let go', async (t) => {
	const gate = new Gate(mock);
	const mount = fs.readFileSync('/proc/self/mountinfo', 'utf8').match(/^(?:\S+ ){4}(\S+) .* - cgroup2 /m)[1];
	const agents = {};
	t.after(() => gate.stop());
	// A group with a process in it, in a network namespace of its own without any way out: what connects there is redirected.
	const begin = async (name, attached = true) => {
		const group = path.join(mount, `spendgate-${name}-${process.pid}`);
		fs.mkdirSync(group);
		const agent = start('unshare', ['--net', 'sh', '-ec', 'ip link set lo up; ip address add 203.0.113.99/32 dev lo; exec python3 -c "$0" "$1" 198.51.100.7', ATTACHED, path.join(group, 'cgroup.procs')], { stdio: ['pipe', 'pipe', 'pipe'] });
		let answers = 0;
		agent.say = async (line) => {
			agent.child.stdin.write(`${line}\n`);
			return until(() => agent.stdout.split('\n').slice(0, -1)[answers], `an answer (${agent.stderr})`).finally(() => answers++);
		};
		agent.end = async () => {
			agent.child.kill();
			await agent.done;
			await until(() => !fs.readFileSync(path.join(group, 'cgroup.procs'), 'utf8'), 'its end');
			fs.rmdirSync(group);
		};
		agents[name] = agent;
		await agent.say('free');
		if (attached) await told(start(program('spendgate'), ['attach', '--label', `spendgate.agent=${name}`, '--label', 'spendgate.budget.limit-usd=1', group], { env: gate.env }).done, 0, /^$/);
	};
	const kill = async (pid = 0) => {
		gate.running.child.kill('SIGKILL');
		await gate.running.exited;
		if (!pid) return;
		process.kill(pid, 'SIGKILL');
		await until(() => !fs.existsSync(`/proc/${pid}`) || / Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')), 'its end');
	};
	const listeners = async () => JSON.parse((await start('bpftool', ['-j', 'map', 'dump', 'pinned', path.join(gate.env.SPENDGATE_PIN_DIR, 'maps/listeners')]).done).stdout).length;
	const names = async () => JSON.parse((await start(program('spendgate'), ['status', '--json'], { env: gate.env }).done).stdout).agents.map((agent) => agent.name).sort();
	t.after(() => Promise.all(Object.values(agents).map((agent) => agent.end())));
	await gate.daemon();
	for (const name of ['anew', 'ended', 'crowded', 'plain']) await begin(name);
	assert.equal(await listeners(), 4);

	// The enforcer stays.
	await kill();
	await agents.anew.end();
	await agents.ended.end();
	delete agents.ended;
	await begin('anew', false);
	assert.match(await agents.anew.say('connect'), /unreachable/);
	const left = path.join(gate.env.SPENDGATE_RUN_DIR, 'agents/9.json.a1b2c3');
	fs.writeFileSync(left, '{');
	await gate.daemon();
	await gate.logged(/event=started/);
	await gate.logged(/event=agent_fenced_anew agent=anew .*connections=\d+$/m);
	assert.equal(await agents.anew.say('connect'), 'reached');
	assert.equal(await agents.plain.say('connect'), 'reached');
	assert.ok(!fs.existsSync(left));
	assert.equal(await listeners(), 3);
	assert.deepEqual(await names(), ['anew', 'crowded', 'plain']);

	// Nobody has a port in the namespace of one of them.
	await kill(Number(gate.running.stderr.match(/enforcer_ready pid=(\d+)/)[1]));
	await agents.crowded.say('take');
	await gate.daemon();
	await gate.logged(/event=agent_not_adopted .*no listener in the agent's network namespace/);
	await gate.logged(/event=started/);
	assert.match(await agents.crowded.say('connect'), /refused|not permitted/);
	for (const name of ['anew', 'plain']) assert.equal(await agents[name].say('connect'), 'reached');
	await agents.crowded.say('free');
	await gate.logged(/event=agent_adopted agent=crowded/);
	assert.equal(await agents.crowded.say('connect'), 'reached');
});

test('a guard that was made by hand, by another spelling of its path, is the configuration\'s, too', async (t) => {
	const gate = new Gate(mock);
	const mount = fs.readFileSync('/proc/self/mountinfo', 'utf8').match(/^(?:\S+ ){4}(\S+) .* - cgroup2 /m)[1], name = `/spendgate-guarded-${process.pid}`;
	t.after(async () => {
		await gate.stop();
		fs.rmdirSync(`${mount}${name}`);
	});
	await gate.daemon();
	await told(start(program('spendgate'), ['attach', '--guard', `${mount}/.${name}/`], { env: gate.env }).done, 0, /^$/);
	gate.running.child.kill('SIGKILL');
	await gate.running.exited;
	await gate.daemon({ guards: [name] });
	await gate.logged(/event=started/);
	assert.equal(fs.readdirSync(path.join(gate.env.SPENDGATE_PIN_DIR, 'agents')).length, 1);
	assert.doesNotMatch(gate.running.stderr, /guard_missing/);
});

test('programs below a home that nobody else may enter (Debian 12 makes them so) do their work', async () => {
	const home = fs.mkdtempSync(path.join(scratch, 'home-')); // 0700
	for (const name of ['spendgate', 'spendgated', 'spendgate-enforcer']) fs.copyFileSync(program(name), path.join(home, name));
	const gate = new Gate(mock);
	const { code, stdout, stderr } = await start(path.join(home, 'spendgate'), ['run', '--agent', 'at-home', '--max-requests', '1', '--', 'echo', 'ran'], { env: gate.env }).done;
	assert.equal(code, 0, stderr);
	assert.equal(stdout, 'ran\n');
});
