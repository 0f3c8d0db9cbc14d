// SPDX-License-Identifier: Apache-2.0
// What an agent's sockets may do: rows of the interception matrix, on the running kernel's real BPF.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';

import { Gate, PYTHON, build, chat, here, scratch, start, startMock } from './lib.mjs';

// A provider that would serve whoever reached it unmetered, at its public address, and a daemon for which its plain port is registered.
const WILD = '203.0.113.40';
let mock, gate, wild, daemon, patient;
before(async () => {
	mock = await startMock();
	gate = new Gate(mock);
	await start('ip', ['address', 'add', `${WILD}/32`, 'dev', 'lo']).done;
	wild = await startMock(['--address', WILD, '--port', '443', '--plain-port', '8080']);
	daemon = new Gate(mock);
	await daemon.daemon({ origins: [{ host: 'llm.internal', address: `${WILD}:8080`, provider: 'openai', plain: true }] });
	patient = around('one-byte', [{ name: 'api.openai.com', bytes: 1, pause: 16 }]); // the last test looks at it
});
after(async () => {
	await patient;
	await daemon.stop();
	await wild.stop();
	await mock.stop();
	await start('ip', ['address', 'del', `${WILD}/32`, 'dev', 'lo']).done;
});

const python = (agent, code, extra = []) => gate.run(agent, { 'limit-usd': '1' }, [PYTHON, '-c', `import socket, errno, os, sys, struct\n${code}`], extra);

// Connects in some way to the provider's address and says which peer the agent believes to have, and how the connect ended.
const attempt = (name, code, expected) => test(name, async () => {
	const { stdout, stderr } = await python(name.replace(/[^a-z0-9]+/gi, '-').slice(0, 40), code);
	assert.equal(stdout.trim(), expected, stderr);
});

attempt('TCP connect, IPv4: redirected; the agent sees the peer that it asked for', `
s = socket.create_connection(("203.0.113.10", 443), 5); print(s.getpeername()[:2])`, "('203.0.113.10', 443)");
attempt('TCP connect, non-blocking', `
import select
s = socket.socket(); s.setblocking(False); r = s.connect_ex(("203.0.113.10", 443)); select.select([], [s], [], 5)
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.getpeername()[0])`, '0 203.0.113.10');
attempt('TCP connect from an IPv6 socket to a mapped IPv4 address', `
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); s.settimeout(5)
s.connect(("::ffff:203.0.113.10", 443)); print(s.getpeername()[:2])`, "('::ffff:203.0.113.10', 443)");
attempt('TCP connect, IPv6', `
s = socket.create_connection(("2001:db8::10", 443), 5); print(s.getpeername()[:2])`, "('2001:db8::10', 443)");
attempt('TCP fast open', `
s = socket.socket()
try: s.sendto(b"GET", socket.MSG_FASTOPEN, ("203.0.113.10", 443)); print(s.getpeername()[0])
except OSError as e: print(errno.errorcode[e.errno])`, '203.0.113.10');
attempt('a failed connect, then another address on the same socket', `
s = socket.socket()
try: s.connect(("127.0.0.1", 1))
except OSError: pass
s.connect(("203.0.113.10", 443)); print(s.getpeername()[0])`, '203.0.113.10');
test('a loop of refused packets: a few lines in the log, all of them in the count, and calls go on', async () => {
	const { stdout, stderr } = await python('loop', `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
refused = 0
for i in range(5000):
    try: s.sendto(b"x", ("203.0.113.10", 443))
    except OSError: refused += 1
print(refused, socket.create_connection(("203.0.113.10", 443), 5).getpeername()[0])`);
	assert.equal(stdout.trim(), '5000 203.0.113.10', stderr);
	const lines = [...gate.log().matchAll(/event=refused agent=loop reason=quic .* not_told=(\d+)/g)];
	assert.ok(lines.length >= 1 && lines.length <= 20, `${lines.length} lines`);
});
attempt('UDP to port 443 by connect, sendto and sendmsg: refused at once', `
out = []
for send in (lambda s: s.connect(("203.0.113.10", 443)), lambda s: s.sendto(b"x", ("203.0.113.10", 443)), lambda s: s.sendmsg([b"x"], [], 0, ("203.0.113.10", 443))):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try: send(s); out.append("sent")
    except OSError as e: out.append(errno.errorcode[e.errno])
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
try: s.sendto(b"x", ("::ffff:203.0.113.10", 443)); out.append("sent")
except OSError as e: out.append(errno.errorcode[e.errno])
print(*out)`, 'EPERM EPERM EPERM EPERM');
attempt('other UDP on loopback passes', `
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 0)); a.settimeout(5)
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.sendto(b"hi", a.getsockname()); print(a.recv(9))`, "b'hi'");
attempt('TCP on loopback is direct', `
a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()
b = socket.create_connection(a.getsockname(), 5); print(b.getpeername() == a.getsockname())`, 'True');
attempt('the enforcer\'s own port: neither connected to nor bound', `
ports = set()
for line in open("/proc/net/tcp").read().splitlines()[1:]:
    f = line.split()
    if f[3] == "0A" and f[1].startswith("0100007F"): ports.add((int(f[1].split(":")[1], 16), f[7]))
out = set()
for port, uid in ports:
    s = socket.socket()
    try: s.connect(("127.0.0.1", port)); connected = "yes"
    except OSError as e: connected = errno.errorcode[e.errno]
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try: s.bind(("127.0.0.1", port)); bound = "yes"
    except OSError as e: bound = errno.errorcode[e.errno]
    if connected == "EPERM": out.add((connected, bound))
print(out)`, "{('EPERM', 'EPERM')}");
attempt('a network namespace that the agent makes: refused, not direct', `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x40000000) == 0, os.strerror(ctypes.get_errno())
s = socket.socket(); s.settimeout(5)
try: s.connect(("203.0.113.10", 443)); print("connected")
except OSError as e: print(errno.errorcode[e.errno])`, 'EPERM');

test('children in a cgroup of their own are still the agent', async () => {
	const before_ = (await mock.bill()).calls;
	const { stdout, status } = await gate.run('child-cgroup', { 'limit-usd': '1' }, ['sh', '-c', `
set -e
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
root=$(awk '{for(i=7;i<=NF;i++) if($i=="-" && $(i+1)=="cgroup2"){print $5; exit}}' /proc/self/mountinfo)
mkdir "$root$own/inner"
sh -c 'echo $$ > "$0/cgroup.procs"; exec curl -sS -m 10 -d "$1" https://api.openai.com/v1/chat/completions' "$root$own/inner" '${JSON.stringify(chat('mock:tokens=4').body)}'
rmdir "$root$own/inner"`]);
	assert.equal(JSON.parse(stdout).usage.completion_tokens, 4);
	assert.equal(status.calls, 1);
	assert.equal((await mock.bill()).calls, before_ + 1);
});

test('what is no provider is passed through untouched: the client sees the server\'s own certificate', async () => {
	const dir = `${scratch}/other`;
	fs.mkdirSync(dir);
	await start('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${dir}/key`, '-out', `${dir}/crt`, '-days', '2', '-subj', '/CN=other.example', '-addext', 'subjectAltName=DNS:other.example']).done;
	// The redirect keeps the original address: a host of ours must answer there.
	await start('ip', ['address', 'add', '203.0.113.20/32', 'dev', 'lo']).done;
	const server = tls.createServer({ key: fs.readFileSync(`${dir}/key`), cert: fs.readFileSync(`${dir}/crt`) }, (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nother'));
	await new Promise((resolve) => server.listen(443, '203.0.113.20', resolve));
	const echo = http.createServer((request, response) => response.end('plain other'));
	await new Promise((resolve) => echo.listen(8080, '203.0.113.20', resolve));
	const { stdout, stderr, status } = await gate.run('other', { 'max-requests': 1 }, ['sh', '-c', `curl -sS -m 10 --cacert ${dir}/crt https://other.example/; curl -sS -m 10 http://other.example:8080/`]);
	assert.equal(stdout, 'otherplain other', stderr);
	assert.equal(status.calls, 0);
	server.close();
	echo.close();
	await start('ip', ['address', 'del', '203.0.113.20/32', 'dev', 'lo']).done;
});

test('ALPN: http/1.1 wherever it is offered, h2 for who offers nothing else, neither is refused clearly', async () => {
	const probe = (protocols) => gate.run('alpn', {}, ['openssl', 's_client', '-connect', '203.0.113.10:443', '-servername', 'api.openai.com', '-alpn', protocols]);
	assert.match((await probe('h2,http/1.1')).stdout, /ALPN protocol: http\/1.1/);
	assert.match((await probe('h2')).stdout, /ALPN protocol: h2/);
	const refused = await probe('h3');
	assert.match(refused.stderr + refused.stdout, /no application protocol/);
	assert.match(gate.log(), /the client offers neither http\/1.1 nor h2/);
});

test('a session that is resumed is metered, one of a provider\'s own is none of ours; nothing is taken early, nothing negotiated again', async () => {
	const dir = `${scratch}/sessions`, body = JSON.stringify(chat('mock:tokens=4').body);
	fs.mkdirSync(dir);
	fs.chmodSync(dir, 0o777);
	fs.writeFileSync(`${dir}/request`, `POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
	await start('sh', ['-c', `openssl s_client -ign_eof -connect 127.0.0.1:${mock.port} -servername api.openai.com -sess_out ${dir}/theirs < ${dir}/request`]).done;
	assert.ok(fs.existsSync(`${dir}/theirs`));
	const before_ = (await mock.bill()).requests;
	const { stdout, stderr } = await gate.run('resumed', { 'max-requests': 3 }, ['sh', '-c', `
cd ${dir}; connect="openssl s_client -connect 203.0.113.10:443 -servername api.openai.com"
for options in "-sess_out ours" "-sess_in ours" "-sess_in theirs" "-sess_in ours"; do
	$connect -ign_eof $options < request 2>&1 | grep -E '^(New|Reused), |^HTTP/1.1 '
done
$connect -sess_in ours -early_data request < /dev/null 2>&1 | grep '^Early data'
mkfifo commands; exec 3<>commands; echo R >&3 # it never ends by itself
$connect -tls1_2 <&3 2>&1 | grep -o 'no renegotiation' | head -n 1`]);
	const served = 'HTTP/1.1 200 OK';
	assert.deepEqual(stdout.trim().split('\n').map((line) => line.replace(/^(New|Reused), (TLSv1.3), .*/, '$1 $2').trim()), ['New TLSv1.3', served, 'Reused TLSv1.3', served, 'New TLSv1.3', served, 'Reused TLSv1.3', 'HTTP/1.1 402 Payment Required', 'Early data was not sent', 'no renegotiation'], stderr);
	assert.equal((await mock.bill()).requests, before_ + 3);
});

test('ambiguous requests get 400 and the connection ends; a wrong Host gets 421', async () => {
	const send = (text) => gate.run('smuggle', {}, [PYTHON, '-c', `
import socket, ssl, sys
s = ssl.create_default_context().wrap_socket(socket.create_connection(("203.0.113.10", 443), 5), server_hostname="api.openai.com")
s.sendall(sys.argv[1].encode().decode("unicode_escape").encode("latin1"))
out = b""
while True:
    data = s.recv(65536)
    if not data: break
    out += data
print(out.decode().split("\\r\\n")[0], out.count(b"HTTP/1.1 "))`, text]);
	const before_ = (await mock.bill()).requests;
	const rows = [
		'POST /v1/chat/completions HTTP/1.1\\r\\nHost: api.openai.com\\r\\nContent-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nGET / HTTP/1.1\\r\\n\\r\\n',
		'POST /v1/chat/completions HTTP/1.1\\r\\nHost: api.openai.com\\r\\nContent-Length: 5\\r\\nContent-Length: 6\\r\\n\\r\\nhello!',
		'GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\nX: a\\r\\n b\\r\\n\\r\\n',
		'POST /v1/chat/completions HTTP/1.1\\r\\nHost: api.openai.com\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nxyz\\r\\n',
	];
	for (const row of rows) assert.equal((await send(row)).stdout.trim(), 'HTTP/1.1 400 Bad Request 1', row);
	assert.equal((await send('GET /v1/models HTTP/1.1\\r\\nHost: api.anthropic.com\\r\\nConnection: close\\r\\n\\r\\n')).stdout.trim(), 'HTTP/1.1 421 Misdirected Request 1');
	assert.equal((await mock.bill()).requests, before_, 'nothing reached the provider');
	const pipelined = await send('GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\n\\r\\nGET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: close\\r\\n\\r\\n');
	assert.equal(pipelined.stdout.trim(), 'HTTP/1.1 200 OK 2');
});

test('case 15: bytes are the same with and without spendgate, streams too', async () => {
	const body = JSON.stringify(chat('mock:tokens=30', { stream: true, stream_options: { include_usage: true } }).body);
	const direct = await start('curl', ['-sS', '--cacert', mock.ca, '--resolve', `api.openai.com:${mock.port}:127.0.0.1`, '-d', body, `https://api.openai.com:${mock.port}/v1/chat/completions`]).done;
	const through = await gate.run('identity', {}, ['curl', '-sS', '-d', body, 'https://api.openai.com/v1/chat/completions']);
	assert.equal(through.stdout, direct.stdout);
});

test('status: a table and JSON of a running daemon', async () => {
	const own = new Gate(mock);
	await own.daemon();
	const running = own.begin('watched', { 'limit-usd': '1' }, ['sleep', '20']);
	let status;
	do status = JSON.parse((await start(`${build}/spendgate`, ['status', '--json'], { env: own.env }).done).stdout);
	while (!status.agents.length);
	assert.equal(status.agents[0].name, 'watched');
	assert.equal(status.agents[0].budgets[0].limit_usd, '1');
	assert.match((await start(`${build}/spendgate`, ['status'], { env: own.env }).done).stdout, /watched +run +lifetime +1 /);
	running.child.kill('SIGTERM');
	await running.done;
	await own.stop();
});

// ---- Around the meter ----

// What each attempt was answered.
async function around(agent, attempts, caps = { 'max-requests': 1 }, through = daemon) {
	const result = await through.run(agent, caps, [PYTHON, `${here}/agents/around.py`, JSON.stringify(attempts.map((attempt) => ({ to: [WILD, 443], ...attempt })))]);
	return { ...result, answers: JSON.parse(result.stdout || `"${result.stderr}"`) };
}

const OK = 'HTTP/1.1 200 OK', CAPPED = 'HTTP/1.1 402 Payment Required', CLOSED = 'closed';

test('who is silent at first, then speaks TLS to a provider, is metered', async () => {
	const before_ = await mock.bill();
	const { answers, stderr } = await around('silent', [{ name: 'api.openai.com', silent: 4 }, { name: 'api.openai.com', silent: 4 }]);
	assert.deepEqual(answers.sort(), [OK, CAPPED], stderr);
	assert.equal((await mock.bill()).calls, before_.calls + 1);
	assert.equal((await wild.bill()).requests, 0, 'nothing reached the provider around the meter');
});

test('a server may speak first; a provider is not reached behind its greeting', async () => {
	let asked = '';
	const server = net.createServer((socket) => {
		socket.write('220 hello\r\n');
		socket.on('data', (data) => {
			asked += data;
			socket.end('250 after you\r\n');
		});
		socket.on('error', () => {});
	});
	await new Promise((resolve) => server.listen(2525, WILD, resolve));
	const { stdout } = await daemon.run('greeted', {}, [PYTHON, '-c', `
import socket, ssl
s = socket.create_connection(("${WILD}", 2525), 10); print(s.recv(99)); s.sendall(b"HELO\\r\\n"); print(s.recv(99))
s = socket.create_connection(("${WILD}", 2525), 10); print(s.recv(99))
try: ssl._create_unverified_context().wrap_socket(s, server_hostname="api.openai.com")
except OSError as e: print("closed")`]);
	assert.equal(stdout, "b'220 hello\\r\\n'\nb'250 after you\\r\\n'\nb'220 hello\\r\\n'\nclosed\n");
	assert.equal(asked, 'HELO\r\n');
	server.close();
});

test('a registered plain origin is metered whatever the first bytes look like, and however late they come', async () => {
	const plain = { to: [WILD, 8080], plain: true, host: 'llm.internal' };
	const before_ = await wild.bill();
	const { answers, stderr } = await around('plain', [{ ...plain, method: 'post' }, { ...plain, method: 'QUERY' }, { ...plain, start: '\r\n' }, { ...plain, silent: 4 }, { ...plain, silent: 4 }]);
	assert.deepEqual(answers.slice(0, 2), Array(2).fill('HTTP/1.1 400 Bad Request'), stderr);
	assert.deepEqual(answers.slice(2).sort(), [OK, CAPPED, CAPPED]);
	assert.equal((await wild.bill()).requests, before_.requests + 1, 'the one call of the cap');
});

test('what only some servers take for TLS is refused', async () => {
	// As lenient as Go's: a warning before the ClientHello, and any version of its record.
	const lenient = net.createServer((socket) => {
		socket.once('data', (data) => {
			const hello = data[0] === 0x15 ? data.subarray(7) : data;
			const server = net.connect(443, WILD, () => {
				if (hello.length) hello[1] = 3;
				server.write(hello);
				socket.pipe(server).pipe(socket);
			});
			server.on('error', () => {});
		});
		socket.on('error', () => {});
	});
	await new Promise((resolve) => lenient.listen(8443, WILD, resolve));
	const before_ = await wild.bill();
	const to = [WILD, 8443], name = 'api.openai.com';
	const { answers } = await around('lenient', [{ to, name, before: '1503010002015a' }, { to, name, record: '0201' }, { to, plain: true, before: '802b01030100' }]);
	assert.deepEqual(answers, Array(3).fill(CLOSED));
	assert.equal((await wild.bill()).requests, before_.requests);
	lenient.close();
});

test('TLS that names no host is refused on port 443 of a public address; noise beside a name is not', async () => {
	const before_ = await wild.bill();
	const { answers } = await around('unnamed', [{}, { name: WILD }, { name: 'cloudflare-ech.com', hidden: true }]);
	assert.deepEqual(answers, Array(3).fill(CLOSED));
	assert.equal((await wild.bill()).connections, before_.connections);
	await around('named', [{ name: 'other.example', hidden: true }, { name: 'cloudflare-ech.com' }]);
	assert.equal((await wild.bill()).connections, before_.connections + 2);
});

test('pass_hosts: whatever else the agent asks for is refused; providers and what is named are reached', async (t) => {
	const strict = new Gate(mock);
	t.after(() => strict.stop());
	await strict.daemon({ pass_hosts: ['*.allowed.example', `${WILD}:25`] });
	let greeted = 0;
	const greeters = [25, 26].map((port) => net.createServer((socket) => {
		greeted++;
		socket.on('error', () => {}).end('220 hello\r\n');
	}).listen(port, WILD));
	t.after(() => greeters.forEach((greeter) => greeter.close()));
	const before_ = await wild.bill();
	const passing = [{ name: 'api.openai.com' }, { name: 'www.Allowed.example' }, { to: [WILD, 8080], plain: true, host: 'api.allowed.example' }, { to: [WILD, 25], plain: true, silent: 4 }];
	const closed = [{ name: 'other.example' }, { name: 'allowed.example' }, { to: [WILD, 8080], plain: true, host: 'other.example' }, { to: [WILD, 26], plain: true, silent: 4, host: 'other.example' }, { to: [WILD, 26], plain: true, start: 'SSH-2.0-x\r\n' }];
	const { answers, stderr } = await around('strict', [...passing, ...closed], {}, strict);
	assert.deepEqual(answers, [OK, OK, OK, '220 hello', ...closed.map(() => CLOSED)], stderr);
	assert.equal((await wild.bill()).connections, before_.connections + 2, 'the two that are named');
	assert.equal(greeted, 1);
});

test('a provider\'s name over plain HTTP, at an address of the agent\'s own, is no evidence: refused and not asked', async (t) => {
	let asked = 0;
	const liar = http.createServer((request, response) => {
		asked++;
		response.end(JSON.stringify({ id: 'x', object: 'chat.completion', model: 'deepseek-chat', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1e12, total_tokens: 1e12 + 1 } }));
	});
	await new Promise((resolve) => liar.listen(8081, WILD, resolve));
	t.after(() => liar.close());
	const call = { to: [WILD, 8081], plain: true, host: 'api.deepseek.com', model: 'deepseek-chat' };
	// As servers read it that are more lenient: empty lines first, in a packet of their own too, a line without CR, a head beyond our limit.
	const lenient = [{ start: '\r\n' }, { before: '0d0a' }, { start: '\n\r\n' }, { headers: 'A: b\n' }, { headers: `A: ${'x'.repeat(70000)}\r\n` }];
	const { answers, status } = await around('liar', [call, ...lenient.map((more) => ({ ...call, ...more }))], { 'limit-usd': '5' });
	assert.deepEqual(answers, [...Array(3).fill('HTTP/1.1 403 Forbidden'), 'HTTP/1.1 400 Bad Request', CLOSED, CLOSED]);
	assert.equal(asked, 0);
	assert.equal(Number(status.spent_usd ?? status.budgets[0].spent_usd), 0);
});

test('a method that is said to be another is refused', async () => {
	const before_ = (await mock.bill()).requests;
	const get = { name: 'api.openai.com', method: 'GET', path: '/v1/models' };
	const { answers } = await around('method', [get, ...['X-HTTP-Method-Override', 'x-http-method', 'X-Method-Override'].map((name) => ({ ...get, headers: `${name}: POST\r\n` }))]);
	assert.deepEqual(answers, [OK, ...Array(3).fill('HTTP/1.1 403 Forbidden')]);
	assert.equal((await mock.bill()).requests, before_ + 1);
});

test('a call of whose answer parts are left out is refused at Google, whichever way it asks', async () => {
	const before_ = (await mock.bill()).requests;
	const path = '/v1beta/models/gemini-2.5-flash:generateContent', call = { name: 'generativelanguage.googleapis.com', host: 'generativelanguage.googleapis.com', path };
	const masked = [{ path: `${path}?fields=candidates` }, { path: `${path}?alt=sse&%24fields=candidates` }, { path: `${path}?$ct=text/plain` }, { headers: 'x-goog-FieldMask: candidates\r\n' }];
	const { answers } = await around('masked', [call, ...masked.map((more) => ({ ...call, ...more }))], { 'limit-usd': '5' });
	assert.deepEqual(answers, ['HTTP/1.1 502 Bad Gateway', ...Array(4).fill('HTTP/1.1 403 Forbidden')], 'the mock is no host of Google\'s: what is not refused fails there');
	assert.equal((await mock.bill()).requests, before_);
});

test('what a header asks of Bedrock beyond the price of tokens is refused', async () => {
	const before_ = (await mock.bill()).requests, name = 'bedrock-runtime.us-east-1.amazonaws.com';
	const call = { name, host: name, path: '/model/anthropic.claude-opus-4-6-v1/invoke' };
	const asking = ['Latency: standard', 'Latency: optimized', 'Service-Tier: priority', 'GuardrailIdentifier: g'].map((header) => ({ ...call, headers: `X-Amzn-Bedrock-${header.replace('Latency', 'PerformanceConfig-Latency')}\r\n` }));
	const { answers } = await around('asking', [call, ...asking], { 'limit-usd': '50' });
	assert.deepEqual(answers, [...Array(2).fill('HTTP/1.1 502 Bad Gateway'), ...Array(3).fill('HTTP/1.1 403 Forbidden')], 'the mock is no host of Amazon\'s: what is not refused fails there');
	assert.equal((await mock.bill()).requests, before_);
});

test('a ClientHello that is begun and not ended is waited for, then closed', async () => {
	assert.deepEqual((await patient).answers, [CLOSED]);
});
