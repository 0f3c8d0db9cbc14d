// SPDX-License-Identifier: Apache-2.0
// Messages that begin, end or pause where others do not: early answers, trailers, half-closed and slow connections, many of them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, PYTHON, chat, dollars, scratch, start, startMock, until } from './lib.mjs';

let mock, gate;
before(async () => {
	mock = await startMock(['--plain-port', '0']);
	gate = new Gate(mock);
	await gate.daemon({ workers: 1, origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true }] });
});
beforeEach(() => mock.reset());
after(async () => {
	await gate.stop();
	await mock.stop();
});

const BODY = JSON.stringify(chat('mock:tokens=4').body);
// An agent that speaks for itself: `s` is its TLS connection, `answer()` reads one answer and says (status, headers, body).
const PRELUDE = `
import json, os, socket, ssl, sys, time
context = ssl.create_default_context()
def connect(session=None):
    return context.wrap_socket(socket.create_connection(("203.0.113.10", 443), 20), server_hostname="api.openai.com", session=session)
buffer = b""
def until(end):
    global buffer
    while end not in buffer:
        data = s.recv(65536)
        if not data: raise EOFError(buffer)
        buffer += data
    head, buffer = buffer.split(end, 1)
    return head
def exactly(n):
    global buffer
    while len(buffer) < n: buffer += s.recv(65536) or sys.exit("cut: %r" % buffer)
    data, buffer = buffer[:n], buffer[n:]
    return data
def answer():
    lines = until(b"\\r\\n\\r\\n").decode().split("\\r\\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), headers, exactly(int(headers["content-length"])) if "content-length" in headers else b""
def head(path, *lines): return ("\\r\\n".join(["POST %s HTTP/1.1" % path, "Host: api.openai.com", *lines]) + "\\r\\n\\r\\n").encode()
BODY = sys.argv[1].encode()
s = connect()
`;
const speak = (agent, code, caps = { 'limit-usd': '1' }, extra = []) => gate.run(agent, caps, [PYTHON, '-c', PRELUDE + code, BODY], extra);

test('an answer before the body is sent reaches the agent, which is told that the connection ends, and may send the rest', async () => {
	await mock.faults({ fault: 'early', times: 1 });
	const { stdout, stderr } = await speak('early', `
s.sendall(head("/v1/files", "Content-Length: 3000000") + b"x" * 1000)
status, headers, body = answer()
print(status, headers.get("connection"))
s.sendall(b"x" * 2999000)
print(s.recv(1))`);
	assert.equal(stdout, "413 close\nb''\n", stderr);
});

test('an early answer of a server that takes no more: the agent is told that the connection ends', async () => {
	await mock.faults({ fault: 'early', close: 1, times: 1 });
	const { stdout, stderr } = await speak('early-close', `
s.sendall(head("/v1/files", "Content-Length: 3000000") + b"x" * 1000)
status, headers, body = answer()
print(status, headers.get("connection"))
try: print(s.recv(1))
except OSError as error: print(error)
s = connect(); s.sendall(b"GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\n\\r\\n"); print(answer()[0])`);
	assert.equal(stdout, "413 close\nb''\n200\n", stderr);
});

test('an early answer to a metered call is the agent\'s, and costs nothing', async () => {
	await mock.faults({ fault: 'early', status: 400, times: 1 });
	const { stdout, stderr, status } = await speak('early-metered', `
s.sendall(head("/v1/chat/completions", "Content-Length: %d" % len(BODY)) + BODY); print(answer()[0])
s.sendall(head("/v1/chat/completions", "Content-Length: %d" % len(BODY)) + BODY); print(answer()[0])`);
	assert.equal(stdout, '400\n200\n', stderr);
	assert.equal(dollars(status.spent_usd), BigInt((await mock.bill()).nanousd));
	assert.equal(status.calls, 1);
});

test('our own refusal does not wait for the body, and is read whole before the end', async () => {
	const { stdout, stderr } = await speak('refused-early', `
s.sendall(head("/v1/no-such-path", "Content-Length: 50000000") + b"x" * 1000)
status, headers, body = answer()
print(status, headers.get("connection"), len(body) > 20)
try:
    while s.recv(1000): pass
    print("ended")
except OSError as error: print(error)`);
	assert.equal(stdout, '403 close True\nended\n', stderr);
	assert.equal((await mock.bill()).requests, 0);
});

test('trailers: of an upload and of an answer they travel on; of a metered request they are dropped', async () => {
	const { stdout, stderr, status } = await speak('trailers', `
s.sendall(head("/v1/files", "Transfer-Encoding: Chunked", "Trailer: x-sum") + b"5\\r\\nhello\\r\\n0\\r\\nx-sum: 42\\r\\n\\r\\n")
print(json.loads(answer()[2])["trailers"])
body = BODY.replace(b"mock:tokens=4", b"mock:tokens=4 mock:fault=trailers")
s.sendall(head("/v1/chat/completions", "Transfer-Encoding: chunked", "Trailer: x-sum") + b"%x\\r\\n%s\\r\\n0\\r\\nx-sum: 42\\r\\n\\r\\n" % (len(body), body))
head_ = until(b"\\r\\n\\r\\n")
print(b"chunked" in head_.lower(), b"trailer: x-checksum" in head_.lower(), until(b"\\r\\n\\r\\n").split(b"\\r\\n0\\r\\n")[1])`);
	assert.equal(stdout, "{'x-sum': '42'}\nTrue True b'x-checksum: of-the-answer'\n", stderr);
	assert.equal(status.calls, 1);
	assert.equal(dollars(status.spent_usd), BigInt((await mock.bill()).nanousd));
});

test('TLS sessions: an agent resumes its own, and the second connection to the provider resumes the first', async () => {
	const { stdout, stderr } = await speak('sessions', `
get = b"GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: close\\r\\n\\r\\n"
context = s.context
s.sendall(get); print(answer()[0], s.session_reused)
session = s.session
s = connect(session)
s.sendall(get); print(answer()[0], s.session_reused)`);
	assert.equal(stdout, '200 False\n200 True\n', stderr);
	// The provider closes after each answer: the next one needs a connection of its own.
	const closing = BODY.replace('mock:tokens=4', 'mock:tokens=4 mock:fault=close');
	await mock.reset();
	await gate.run('sessions', { 'limit-usd': '1' }, ['sh', '-c', 'for i in 1 2; do curl -sS -o /dev/null -d "$0" https://api.openai.com/v1/chat/completions; done', closing]);
	const bill = await mock.bill();
	assert.deepEqual([bill.calls, bill.connections, bill.resumed], [2, 2, 1]);
});

test('half-closed: what is no provider sees the end of one direction, and answers over the other', async () => {
	await start('ip', ['address', 'add', '203.0.113.20/32', 'dev', 'lo']).done;
	const server = net.createServer({ allowHalfOpen: true }, (socket) => {
		let bytes = 0;
		socket.on('data', (data) => (bytes += data.length));
		socket.on('end', () => socket.end(`took ${bytes}`));
	});
	await new Promise((resolve) => server.listen(7000, '203.0.113.20', resolve));
	const { stdout, stderr } = await gate.run('half', {}, [PYTHON, '-c', `
import socket
s = socket.create_connection(("203.0.113.20", 7000), 20)
s.sendall(b"x" * 700000); s.shutdown(socket.SHUT_WR)
out = b""
while True:
    data = s.recv(1000)
    if not data: break
    out += data
print(out.decode())`]);
	assert.equal(stdout.trim(), 'took 700000', stderr);
	server.close();
	await start('ip', ['address', 'del', '203.0.113.20/32', 'dev', 'lo']).done;
});

const enforcer = () => Number([...gate.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)[1]);
const residentKib = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${enforcer()}/status`, 'utf8'))[1]);
const descriptors = () => fs.readdirSync(`/proc/${enforcer()}/fd`).length;

test('heads and bodies that never end hold up nobody else', async () => {
	const slow = gate.begin('slow', { 'limit-usd': '1' }, [PYTHON, '-c', `${PRELUDE}
many = []
for i in range(100):
    s = connect(); s.sendall(b"POST /v1/chat/compl"); many.append(s)
    s = connect(); s.sendall(head("/v1/chat/completions", "Content-Length: 900") + b'{"model"'); many.append(s)
print("open", flush=True)
while True:
    for s in many: s.sendall(b" ")
    time.sleep(0.05)`, BODY]);
	for (let i = 0; i < 600 && !slow.stdout.includes('open'); i++) await new Promise((resolve) => setTimeout(resolve, 50));
	assert.match(slow.stdout, /open/, slow.stderr);
	const other = await speak('other', `
for i in range(20):
    s.sendall(head("/v1/chat/completions", "Content-Length: %d" % len(BODY)) + BODY); print(answer()[0])`);
	assert.equal(other.stdout, '200\n'.repeat(20), other.stderr);
	assert.equal(other.status.calls, 20);
	assert.equal((await mock.bill()).requests, 20, 'nothing of the others has reached the provider');
	slow.child.kill('SIGTERM');
	await slow.done;
});

test('10,000 idle connections: bounded memory, the next call is served, and all is given back', async () => {
	// Two descriptors a connection while a call runs, one while it idles: fewer where the machine permits fewer.
	const limit = Number(/Max open files\s+(\d+)/.exec(fs.readFileSync(`/proc/${enforcer()}/limits`, 'utf8'))[1]);
	const count = Math.min(10000, Math.floor(limit / 2));
	assert.ok(count >= 4000, `a limit of ${limit} descriptors is too low for this test`);
	const before_ = { kib: residentKib(), descriptors: descriptors() };
	const idle = gate.begin('idle', {}, [PYTHON, '-c', `
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
many = []
for i in range(${count}):
    s = socket.create_connection(("127.0.0.1", ${mock.plain_port}), 20)
    s.sendall(b"GET /v1/models HTTP/1.1\\r\\nHost: llm.internal\\r\\n\\r\\n")
    if not s.recv(4096).startswith(b"HTTP/1.1 200"): sys.exit("connection %d" % i)
    many.append(s)
print("idle", flush=True)
sys.stdin.read()`], [], 'pipe');
	for (let i = 0; i < 4000 && !idle.stdout.includes('idle') && idle.child.exitCode === null; i++) await new Promise((resolve) => setTimeout(resolve, 50));
	assert.match(idle.stdout, /idle/, idle.stderr);
	const during = { kib: residentKib(), descriptors: descriptors() };
	assert.ok(during.descriptors >= before_.descriptors + count, `${during.descriptors} descriptors`);
	assert.ok(during.kib - before_.kib < count * 64, `${((during.kib - before_.kib) / count).toFixed(1)} KiB a connection`);
	const other = await speak('busy', `
s.sendall(head("/v1/chat/completions", "Content-Length: %d" % len(BODY)) + BODY); print(answer()[0])`);
	assert.equal(other.stdout, '200\n', other.stderr);
	idle.child.stdin.end();
	assert.equal((await idle.done).code, 0);
	for (let i = 0; i < 400 && descriptors() > before_.descriptors + 300; i++) await new Promise((resolve) => setTimeout(resolve, 50));
	assert.ok(descriptors() <= before_.descriptors + 300, `${descriptors()} descriptors are left`); // the pool keeps some
});

test('max_connections: one agent too many is cut off, the others are served; room that is given back is there again', async () => {
	const own = new Gate(mock);
	await own.daemon({ max_connections: 4, origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true }] });
	try {
		const connects = (more) => [PYTHON, '-c', `
import socket, sys
def served():
    s = socket.create_connection(("127.0.0.1", ${mock.plain_port}), 20)
    try:
        s.sendall(b"GET /v1/models HTTP/1.1\\r\\nHost: llm.internal\\r\\n\\r\\n")
        data = s.recv(4096)
    except ConnectionError:
        data = b""
    return s if data.startswith(b"HTTP/1.1 200") else None
${more}`];
		const greedy = own.begin('greedy', {}, connects(`
many = [served() for i in range(7)]
print(sum(s is not None for s in many), flush=True)
sys.stdin.readline()
for s in many: s and s.close()
import time
for i in range(200):
    again = served()
    if again: break
    time.sleep(0.05)
print("again", again is not None)`), [], 'pipe');
		await until(() => greedy.stdout.includes('\n'), 'the connections');
		const other = await own.run('other', {}, connects('print(served() is not None)'));
		greedy.child.stdin.end('\n');
		assert.equal((await greedy.done).stdout, '4\nagain True\n', greedy.stderr);
		assert.equal(other.stdout, 'True\n', other.stderr);
		assert.equal(own.running.stderr.match(/event=too_many_connections agent=greedy max_connections=4/g)?.length, 1, 'said once');
	} finally {
		await own.stop();
	}
});

test('max_body_bytes: what the bodies of one agent may take together; room that is given back is there again', async () => {
	const own = new Gate(mock);
	await own.daemon({ max_body_bytes: 1 << 20, origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true }] });
	try {
		const { stdout, stderr } = await own.run('greedy', {}, [PYTHON, '-c', `
import json, socket
BODY = json.dumps({"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": "x" * 700000}]}).encode()
def send(sent, length=len(BODY)):
    s = socket.create_connection(("127.0.0.1", ${mock.plain_port}), 20)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: llm.internal\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % length + sent)
    return s
def answer(s):
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        more = s.recv(4096)
        if not more: return "closed"
        data += more
    head = data.split(b"\\r\\n\\r\\n")[0].decode().lower()
    return head.split()[1] + (" soon" if "retry-after: 1" in head else "")
print(answer(send(b"", 2 << 20)))
waiting = send(BODY[:-1])
def is_crowded():
    return answer(send(BODY))
import time
for i in range(100):
    crowded = is_crowded()
    if crowded != "200": break
    time.sleep(0.05)
print(crowded)
waiting.sendall(BODY[-1:])
print(answer(waiting))
waiting.close()
print(answer(send(BODY)))`]);
		assert.equal(stdout, '413\n429 soon\n200\n200\n', stderr);
	} finally {
		await own.stop();
	}
});

// Agents that make calls without end, with one daemon.
test('max_calls and floods: calls that are too many get 429 and room that is given back is there again; refusals without end have few lines', async () => {
	const own = new Gate(mock);
	await own.daemon({ max_calls: 2, origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true }] });
	const calls = (more) => [PYTHON, '-c', `
import json, socket, time
HEAD = b"POST %s HTTP/1.1\\r\\nHost: llm.internal\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"
BODY = json.dumps({"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}).encode()
def send(sent, length=len(BODY), path=b"/v1/chat/completions"):
    s = socket.create_connection(("127.0.0.1", ${mock.plain_port}), 20)
    s.sendall(HEAD % (path, length) + sent)
    return s
def answer(s):
    data = b""
    while b"\\r\\n\\r\\n" not in data: data += s.recv(4096)
    head = data.split(b"\\r\\n\\r\\n")[0].decode().lower()
    return head.split()[1] + (" soon" if "retry-after: 1" in head else "")
${more}`];
	const audit = (agent) => fs.readFileSync(path.join(own.env.SPENDGATE_STATE_DIR, 'ledger/audit.jsonl'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)).filter((line) => line.agent === agent);
	try {
		const greedy = await own.run('greedy', {}, calls(`
def begin():
    s = socket.create_connection(("127.0.0.1", ${mock.plain_port}), 20)
    s.sendall(HEAD.replace(b"Host:", b"Expect: 100-continue\\r\\nHost:") % (b"/v1/chat/completions", len(BODY)))
    print(answer(s))
    return s
waiting = [begin(), begin()]
print(answer(send(BODY)))
waiting[0].sendall(BODY)
print(answer(waiting[0]))
print(answer(send(BODY)))`));
		assert.equal(greedy.stdout, '100\n100\n429 soon\n200\n200\n', greedy.stderr);
		assert.equal(own.running.stderr.match(/event=too_many_calls agent=greedy max_calls=2/g)?.length, 1, 'said once');
		const flood = await own.run('flood', {}, calls(`
NO = HEAD % (b"/v1/nothing/of/this/kind", 0)
s = send(NO * 699, 0, b"/v1/nothing/of/this/kind")
data = b""
while data.count(b"HTTP/1.1 403") < 700: data += s.recv(65536)
time.sleep(0.3)
s.sendall(NO)
print(s.recv(65536).split()[1])`));
		assert.equal(flood.stdout, "b'403'\n", flood.stderr);
		const told = await until(() => audit('flood').some((line) => line.event === 'refused_more') && audit('flood'), 'the line that says how many');
		const lines = told.filter((line) => line.event === 'refused').length;
		assert.ok(lines >= 500 && lines < 700, `${lines} lines`);
		assert.equal(lines + told.filter((line) => line.event === 'refused_more').reduce((sum, line) => sum + line.count, 0), 701);
		const garbled = await own.run('garbled', { 'limit-usd': '1' }, calls(`
BODY = BODY.replace(b"gpt-4o", b"m-\\xff")
print(answer(send(BODY, len(BODY))))`));
		assert.equal(garbled.stdout, '403\n', garbled.stderr);
		const line = await until(() => audit('garbled').find((each) => each.event === 'refused'), 'its line');
		assert.deepEqual([line.reason, line.model, line.detail], ['unknown_model', 'm-?', 'm-?']);
	} finally {
		await own.stop();
	}
});

test('a metered call with two lines that say what its body is, is refused: the provider may go by the other one', async () => {
	const { stdout, stderr } = await speak('two-types', `
for lines in (["Content-Type: application/json", "content-type: multipart/form-data; boundary=a"], ["Content-Encoding: identity", "Content-Encoding: identity"]):
    s = connect(); s.sendall(head("/v1/chat/completions", "Content-Length: %d" % len(BODY), *lines) + BODY); print(answer()[0])
s = connect(); s.sendall(head("/v1/chat/completions", "Content-Length: %d" % len(BODY), "Content-Type: application/json") + BODY); print(answer()[0])`);
	assert.equal(stdout, '400\n400\n200\n', stderr);
	assert.equal((await mock.bill()).requests, 1);
});
