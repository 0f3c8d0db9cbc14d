// SPDX-License-Identifier: Apache-2.0
// Alerts by webhook: a receiver that is not ours, which checks what it is told as any receiver would.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, build, chat, scratch, start, startMock, until } from './lib.mjs';

const SECRET = 'planted-webhook-secret';

// Keeps what comes, in whatever order; `answer` says what it is answered with (null: never).
class Receiver {
	constructor() {
		this.told = [];
		this.answer = () => 204;
		this.server = http.createServer(async (request, response) => {
			const parts = [];
			for await (const part of request) parts.push(part);
			const body = Buffer.concat(parts), timestamp = request.headers['x-spendgate-timestamp'];
			const signature = crypto.createHmac('sha256', SECRET).update(`${timestamp}.`).update(body).digest('hex');
			const told = { ...JSON.parse(body), url: request.url, delivery: request.headers['x-spendgate-delivery'], timestamp, raw: body.toString(), valid: request.headers['x-spendgate-signature'] === `sha256=${signature}` };
			this.told.push(told);
			const status = this.answer(told, this.told.length);
			if (status === null) return;
			response.writeHead(status, { 'content-length': 0 });
			response.end();
		});
	}
	async start(port = 0) {
		await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
		this.port = this.server.address().port;
	}
	stop() {
		this.server.closeAllConnections();
		this.server.close();
	}
}

let mock;
before(async () => (mock = await startMock()));
beforeEach(() => mock.reset());
after(() => mock.stop());

// A daemon with a receiver on `port`, and one budget of 4 calls that is shared by whoever calls.
function scenario(name, run, { workers = 2, ...webhook } = {}) {
	test(name, async () => {
		const gate = new Gate(mock), receiver = new Receiver();
		await receiver.start();
		gate.open = (more = {}) => gate.daemon({ workers, budgets: [{ scope: 'host', max_requests: 4, window: '1h', alerts: [50, 100], ...more }], webhook: { url: `http://127.0.0.1:${receiver.port}/hooks/x?key=planted-key`, secret: SECRET, ...webhook } });
		gate.calls = async (agent, count) => (await gate.agent('openai.mjs', agent, {}, { calls: Array.from({ length: count }, (_, i) => chat(`mock:tokens=2 call ${i}`)), maxRetries: 0 })).results;
		try {
			await run(gate, receiver);
		} finally {
			receiver.stop();
			await gate.stop();
		}
		assert.doesNotMatch(gate.running.stderr, /planted/); // neither the secret nor the URL's key
	});
}

const logged = (gate, event) => until(() => gate.running.stderr.match(new RegExp(`event=${event} .*`)), `${event} in the log`);

scenario('alerts at 50 and at 100 percent: once each, signed, as the audit log has them', async (gate, receiver) => {
	await gate.open();
	const results = await gate.calls('told', 5);
	assert.equal(results.filter((result) => result.ok).length, 4);
	await until(() => receiver.told.length >= 2, 'two deliveries');
	await until(() => gate.running.stderr.match(/event=webhook_delivered/g)?.length === 2, 'both to be taken');
	const [half, full] = receiver.told;
	assert.deepEqual([half.valid, full.valid], [true, true]);
	assert.deepEqual([half.percent, full.percent], [50, 100]);
	assert.notEqual(half.delivery, full.delivery);
	assert.match(half.delivery, /^[0-9a-f]{32}$/);
	assert.equal(half.url, '/hooks/x?key=planted-key');
	assert.ok(Math.abs(half.timestamp - Date.now() / 1000) < 60);
	const { stdout } = await start(path.join(build, 'spendgate'), ['audit', '-n', '100'], { env: gate.env }).done;
	const lines = stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line)).filter((line) => line.event === 'budget_alert');
	assert.equal(lines.length, 2);
	receiver.told.forEach((told, i) => {
		const { at, ...body } = JSON.parse(told.raw), { at: _, ...line } = lines[i];
		assert.deepEqual(body, line);
		assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
	});
	const { stdout: status } = await start(path.join(build, 'spendgate'), ['status', '--json'], { env: gate.env }).done;
	assert.doesNotMatch(status, /planted/);
	await gate.calls('told', 2); // refused, and no third alert
	assert.equal(receiver.told.length, 2);
});

const secretFile = path.join(scratch, 'webhook.secret');
fs.writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 });
scenario('a breaker is told too; the secret is in a file', async (gate, receiver) => {
	await gate.open({ alerts: undefined, max_requests: 100, breaker: { identical_requests: 2, action: 'deny' } });
	await gate.agent('openai.mjs', 'again', {}, { calls: Array(4).fill(chat('mock:tokens=2')), maxRetries: 0 });
	const told = await until(() => receiver.told[0], 'a delivery');
	assert.deepEqual([told.event, told.agent, told.reason, told.valid], ['budget_breaker', 'again', 'identical_requests', true]);
}, { secret: undefined, secret_file: secretFile });

scenario('a receiver that is down at first is told by retry, with the same delivery id', async (gate, receiver) => {
	const { port } = receiver, later = new Receiver();
	receiver.stop();
	await gate.open({ alerts: [50] });
	const calls = gate.calls('patient', 2);
	const [, id] = (await logged(gate, 'webhook_failed'))[0].match(/delivery=(\w+) attempts=1 .*again_ms=1000/);
	await later.start(port);
	try {
		const told = await until(() => later.told[0], 'the next attempt', 60000); // by then several may have failed
		assert.deepEqual([told.delivery, told.percent, told.valid], [id, 50, true]);
		assert.match((await logged(gate, 'webhook_delivered'))[0], new RegExp(`delivery=${id} attempts=[2-9]`));
		assert.ok((await calls).every((result) => result.ok));
		assert.equal(later.told.length, 1);
	} finally {
		later.stop();
	}
});

scenario('what is not answered with 2xx is tried again, with the same body and delivery id, signed anew', async (gate, receiver) => {
	receiver.answer = (_, count) => [302, 503, 201][count - 1];
	await gate.open({ alerts: [50] });
	await gate.calls('again', 2);
	await logged(gate, 'webhook_delivered');
	const [first, second, third] = receiver.told;
	assert.equal(receiver.told.length, 3);
	assert.deepEqual([second.delivery, third.delivery], [first.delivery, first.delivery]);
	assert.deepEqual([second.raw, third.raw], [first.raw, first.raw]);
	assert.ok(Number(third.timestamp) > Number(first.timestamp));
	assert.ok(receiver.told.every((told) => told.valid));
});

// One worker: the one that waits for the receiver is the one that serves the calls.
scenario('a receiver that never answers keeps no call waiting', async (gate, receiver) => {
	receiver.answer = () => null;
	await gate.open({ alerts: [25, 50, 75, 100] });
	assert.ok((await gate.calls('quick', 1)).every((result) => result.ok));
	await until(() => receiver.told.length === 1, 'the first delivery');
	assert.ok((await gate.calls('quick', 3)).every((result) => result.ok)); // all while it hangs
	assert.doesNotMatch(gate.running.stderr, /event=webhook_failed/);
	assert.equal(receiver.told.length, 1);
}, { workers: 1, timeout_ms: 60000 });

scenario('a receiver that does not answer in time is tried again', async (gate, receiver) => {
	receiver.answer = (_, count) => (count === 1 ? null : 200);
	await gate.open({ alerts: [50] });
	await gate.calls('late', 2);
	await until(() => receiver.told.length === 2, 'the second attempt');
	assert.equal(receiver.told[0].delivery, receiver.told[1].delivery);
	await logged(gate, 'webhook_delivered');
}, { timeout_ms: 200 });

test('a webhook without a secret, or with a URL that is none, stops the start with a sentence', async () => {
	const file = path.join(scratch, 'webhook-bad.json');
	for (const [webhook, sentence] of [[{ url: 'http://127.0.0.1:1/' }, /webhook\.secret: /], [{ url: 'ftp://x', secret: 'x' }, /webhook\.url: must be http/], [{ url: 'http://127.0.0.1:1/', secret: 'x', retries: 3 }, /webhook: unknown key "retries"/], [{ url: 'http://127.0.0.1:1/', secret_file: '/nonexistent' }, /webhook\.secret_file: .nonexistent: No such file/]]) {
		fs.writeFileSync(file, JSON.stringify({ webhook }));
		const { code, stderr } = await start(path.join(build, 'spendgated'), ['--config', file], { env: new Gate(mock).env }).done;
		assert.notEqual(code, 0);
		assert.match(stderr, sentence);
	}
});
