// SPDX-License-Identifier: Apache-2.0
// The operator's keys in place of the agents' own: what the provider sees, who gets none, and that they are found nowhere else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, PYTHON, build, chat, here, message, scratch, start, startMock, until } from './lib.mjs';

const BEDROCK = 'bedrock-runtime.us-east-1.amazonaws.com';
const GOOGLE = 'generativelanguage.googleapis.com';
const PLACEHOLDER = 'sk-planted-secret-key';

let mock, counter = 0;
before(async () => (mock = await startMock(['--plain-port', '0', '--host', BEDROCK, '--host', GOOGLE])));
beforeEach(() => mock.reset());
after(() => mock.stop());

const hash = (text) => createHash('sha256').update(text).digest('hex');
const seen = async () => (await mock.bill()).keys;

function keyFile(key, mode = 0o600) {
	const file = path.join(scratch, `key-${++counter}`);
	fs.writeFileSync(file, key);
	fs.chmodSync(file, mode);
	return file;
}

// Every file below a directory that holds the text.
function filesWith(directory, text) {
	const found = [];
	for (const entry of fs.readdirSync(directory, { withFileTypes: true, recursive: true })) {
		const file = path.join(entry.parentPath ?? entry.path, entry.name);
		if (entry.isFile() && fs.readFileSync(file).includes(text)) found.push(file);
	}
	return found;
}

function assertNowhere(gate, text) {
	for (const directory of [gate.env.SPENDGATE_RUN_DIR, gate.env.SPENDGATE_STATE_DIR]) assert.deepEqual(filesWith(directory, text), []);
	assert.doesNotMatch(gate.running.stderr + gate.running.stdout, new RegExp(text));
}

test('each SDK holds a placeholder, and the provider sees the key of its own; other agents keep theirs; it is in no file and no log', async (t) => {
	const gate = new Gate(mock);
	t.after(() => gate.stop());
	await gate.daemon({ log_level: 'debug', keys: [{ agent: 'writer*', provider: 'openai', key_file: keyFile('sk-real-openai\n') }, { agent: 'writer*', provider: 'anthropic', key_file: keyFile('sk-ant-real') }, { agent: '*', provider: 'gemini', key_file: keyFile('gemini-real') }] });
	const texts = [];
	const note = ({ stdout, stderr, status }) => texts.push(stdout, stderr, JSON.stringify(status));

	const openai = await gate.agent('openai.mjs', 'writer-1', { 'limit-usd': '1' }, { calls: [chat('mock:tokens=4'), chat('mock:tokens=4', { stream: true })] });
	assert.deepEqual(openai.results.map(({ ok }) => ok), [true, true]);
	assert.deepEqual((await seen()).map(({ path: _, ...keys }) => keys), Array(2).fill({ authorization: hash('Bearer sk-real-openai') }));
	note(openai);

	await mock.reset();
	const anthropic = await gate.agent('anthropic.mjs', 'writer-2', { 'limit-usd': '1' }, { calls: [message('mock:tokens=4')] });
	assert.equal(anthropic.results[0].ok, true);
	assert.deepEqual((await seen()).map(({ path: _, ...keys }) => keys), [{ 'x-api-key': hash('sk-ant-real') }]);
	note(anthropic);

	// No key at all, a free path, another's header, a query of Google's, a key among a WebSocket's protocols, HTTP/2.
	await mock.reset();
	const curl = ['curl', '-sS'];
	note(await gate.run('writer-3', {}, [...curl, 'https://api.openai.com/v1/models']));
	note(await gate.run('writer-3', {}, [...curl, '--http2', '-H', `x-api-key: ${PLACEHOLDER}`, '-H', `Authorization: Bearer ${PLACEHOLDER}`, 'https://api.openai.com/v1/models']));
	note(await gate.run('writer-3', {}, [...curl, `https://${GOOGLE}/v1beta/models?pageSize=2&key=${PLACEHOLDER}`], ['--origin', `${GOOGLE}=127.0.0.1:${mock.port}`]));
	const upgrade = ['-m', '3', '--http1.1', '-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket', '-H', 'Sec-WebSocket-Version: 13', '-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
	note(await gate.run('writer-3', { 'limit-usd': '20' }, [...curl, ...upgrade, '-H', `Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.${PLACEHOLDER}`, 'https://api.openai.com/v1/realtime?model=gpt-realtime']));
	assert.deepEqual(await seen(), [
		{ path: '/v1/models', authorization: hash('Bearer sk-real-openai') },
		{ path: '/v1/models', authorization: hash('Bearer sk-real-openai') },
		{ path: '/v1beta/models?pageSize=2', 'x-goog-api-key': hash('gemini-real') },
		{ path: '/v1/realtime?model=gpt-realtime', authorization: hash('Bearer sk-real-openai'), protocols: 'realtime' },
	]);

	await mock.reset();
	note(await gate.agent('openai.mjs', 'reader', { 'limit-usd': '1' }, { calls: [chat('mock:tokens=4')] }));
	assert.deepEqual((await seen()).map(({ authorization }) => authorization), [hash(`Bearer ${PLACEHOLDER}`)]);

	const enforcer = [...gate.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)[1];
	assert.equal(fs.statSync(`/proc/${enforcer}/environ`).uid, 0, 'the enforcer, which is not root, is not dumpable');
	assertNowhere(gate, 'sk-real-openai');
	assertNowhere(gate, 'sk-ant-real');
	assert.doesNotMatch(texts.join('\n'), /sk-real-openai|sk-ant-real|gemini-real/);
});

test('a key goes to the provider itself over TLS only: not to a plain origin, not to another host that speaks its API', async (t) => {
	const gate = new Gate(mock);
	t.after(() => gate.stop());
	await gate.daemon({ origins: [{ host: 'llm.internal', address: `127.0.0.1:${mock.plain_port}`, provider: 'openai', plain: true }], keys: [{ agent: '*', provider: 'openai', key_file: keyFile('sk-real') }, { agent: '*', provider: 'anthropic', host: 'eu.*', key_file: keyFile('sk-eu') }] });
	const own = ['-H', `Authorization: Bearer ${PLACEHOLDER}`];
	await gate.run('plain', {}, ['curl', '-sS', ...own, '-H', 'Host: llm.internal', `http://127.0.0.1:${mock.plain_port}/v1/models`]);
	await gate.run('host', {}, ['curl', '-sS', '-H', `x-api-key: ${PLACEHOLDER}`, 'https://api.anthropic.com/v1/models']);
	await gate.run('tls', {}, ['curl', '-sS', ...own, 'https://api.openai.com/v1/models']);
	assert.deepEqual((await seen()).map(({ path: _, ...keys }) => keys), [{ authorization: hash(`Bearer ${PLACEHOLDER}`) }, { 'x-api-key': hash(PLACEHOLDER) }, { authorization: hash('Bearer sk-real') }]);
});

// One connection that is kept: a call for each line of its standard input.
const ONE_CONNECTION = `
import http.client, ssl, sys
connection = http.client.HTTPSConnection("api.openai.com", context=ssl.create_default_context())
for line in sys.stdin:
    connection.request("GET", "/v1/models", headers={"authorization": "Bearer ${PLACEHOLDER}"})
    response = connection.getresponse()
    response.read()
    print(response.status, flush=True)
`;

test('a reload changes the key for the next call on a connection that is kept; a file that got open to others changes nothing', async (t) => {
	const gate = new Gate(mock);
	t.after(() => gate.stop());
	const file = keyFile('sk-first');
	await gate.daemon({ workers: 1, keys: [{ agent: '*', provider: 'openai', key_file: file }] });
	const agent = gate.begin('kept', {}, [PYTHON, '-c', ONE_CONNECTION], [], 'pipe');
	let calls = 0;
	const call = async () => {
		agent.child.stdin.write('\n');
		calls++;
		await until(() => agent.stdout.split('\n').length > calls, `answer ${calls} (${agent.stderr})`);
		return (await seen()).at(-1).authorization;
	};
	const reload = () => start(path.join(build, 'spendgate'), ['reload'], { env: gate.env }).done;
	assert.equal(await call(), hash('Bearer sk-first'));
	fs.writeFileSync(file, 'sk-second');
	assert.equal((await reload()).code, 0);
	assert.equal(await call(), hash('Bearer sk-second'));
	fs.writeFileSync(file, 'sk-third');
	fs.chmodSync(file, 0o640);
	const refused = await reload();
	assert.equal(refused.code, 78);
	assert.match(refused.stderr, new RegExp(`keys\\[0\\]: key_file ${file}: .*chmod 600 ${file}`));
	assert.equal(await call(), hash('Bearer sk-second'));
	agent.child.stdin.end();
	assert.equal((await agent.done).code, 0);
});

test('what can not be used refuses the start, with the place and the remedy; a credential of systemd is found by its name', async (t) => {
	const gate = new Gate(mock);
	t.after(() => gate.stop());
	const credentials = path.join(scratch, `credentials-${++counter}`);
	fs.mkdirSync(credentials);
	fs.writeFileSync(path.join(credentials, 'openai'), 'sk-credential', { mode: 0o400 });
	const foreign = keyFile('sk-secret');
	fs.chownSync(foreign, 12345, 0);
	const check = (keys, env = {}) => {
		const config = path.join(scratch, `keys-${++counter}.json`);
		fs.writeFileSync(config, JSON.stringify({ keys }));
		return start(path.join(build, 'spendgated'), ['--check', '--config', config], { env: { ...gate.env, ...env } }).done;
	};
	const entry = (key_file, more = {}) => [{ agent: '*', provider: 'openai', key_file, ...more }];
	const open = keyFile('sk-secret', 0o604);
	for (const [keys, pattern] of [
		[entry(open), new RegExp(`keys\\[0\\]: key_file ${open}: others than root may use it \\(mode 0604\\): chmod 600 ${open}`)],
		[entry(foreign), new RegExp(`belongs to user 12345, must belong to root: chown root ${foreign}`)],
		[entry('/nowhere/key'), /key_file \/nowhere\/key: No such file/],
		[entry(keyFile('sk-secret\r\nx-evil: 1')), /must hold one key: a line of printable characters/],
		[entry(keyFile('\n')), /is empty/],
		[entry('some/key'), /must be an absolute path, or the name of a credential/],
		[entry('openai'), /LoadCredential=openai:PATH/],
		[entry(keyFile('sk-secret'), { provider: 'nobody' }), /unknown provider "nobody"/],
		[entry(keyFile('sk-secret'), { provider: 'vllm' }), /has no hosts/],
		[entry(keyFile('sk-secret'), { kye: 'x' }), /unknown key "kye"/],
		[[{ agent: '*', provider: 'openai' }], /keys\[0\]: key_file is missing/],
		[{}, /keys: must be a list/],
	]) {
		const { code, stderr } = await check(keys);
		assert.equal(code, 78, `${JSON.stringify(keys)}: ${stderr}`);
		assert.match(stderr, pattern);
		assert.doesNotMatch(stderr, /sk-secret/);
	}
	assert.equal((await check(entry('openai'), { CREDENTIALS_DIRECTORY: credentials })).code, 0);
});

test('requests that are signed are refused in the shape that Amazon\'s SDK knows, and a bearer token gets the key', async (t) => {
	const gate = new Gate(mock);
	t.after(() => gate.stop());
	await gate.daemon({ keys: [{ agent: '*', provider: 'bedrock', key_file: keyFile('bedrock-real') }] });
	const origin = ['--origin', `${BEDROCK}=127.0.0.1:${mock.port}`];
	const { stdout, stderr } = await gate.run('signer', { 'limit-usd': '1' }, ['node', path.join(here, 'agents/bedrock.mjs')], origin);
	assert.ok(stdout, stderr);
	const { plain } = JSON.parse(stdout);
	assert.deepEqual([plain.error, plain.status, plain.attempts], ['AccessDeniedException', 403, 1]);
	assert.match(plain.message, /operator's key for bedrock.*signed requests \(AWS Signature Version 4\) can't get another key/);
	assert.deepEqual(await seen(), []);
	await gate.run('bearer', {}, ['curl', '-sS', '-H', `Authorization: Bearer ${PLACEHOLDER}`, `https://${BEDROCK}/foundation-models`], origin);
	assert.deepEqual((await seen()).map(({ authorization }) => authorization), [hash('Bearer bedrock-real')]);
});
