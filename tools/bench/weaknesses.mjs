// SPDX-License-Identifier: Apache-2.0
// What budgets in a gateway are known to get wrong, each tried on spendgate: prints the table of docs/comparison.md. Judged by the
// mock provider's own bill. `make bench-weaknesses` runs it in the sandbox of the end-to-end tests.
import fs from 'node:fs';
import path from 'node:path';

import { Gate, chat, message, scratch, startMock, until } from '../../tests/e2e/lib.mjs';

const mock = await startMock();
const rows = [];
const note = (what, figure) => rows.push(`| ${what} | ${figure} |`);

// A client that keeps its connections and prints what `script` returns. In it: call() makes one call and returns its status, timed(n)
// the median of n calls in milliseconds, many(n, parallel) calls a second.
const client = (script) => ['node', '--input-type=module', '-e', `
const body = ${JSON.stringify(JSON.stringify(chat('mock:tokens=2').body))};
const call = async () => {
	const answer = await fetch('https://api.openai.com/v1/chat/completions', { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer k' }, body });
	await answer.arrayBuffer();
	return answer.status;
};
const timed = async (n) => {
	const taken = [];
	for (let i = 0; i < n; i++) { const start = performance.now(); await call(); taken.push(performance.now() - start); }
	return taken.sort((a, b) => a - b)[n >> 1];
};
const many = async (n, parallel) => {
	const start = performance.now();
	let left = n;
	await Promise.all(Array.from({ length: parallel }, async () => { while (left-- > 0) await call(); }));
	return n / (performance.now() - start) * 1000;
};
console.log(JSON.stringify(await (async () => { ${script} })()));`];

async function ask(gate, agent, caps, script) {
	const { stdout, stderr, status } = await gate.run(agent, caps, client(script));
	if (!stdout.trim()) throw new Error(`${agent} said nothing: ${stderr}`);
	return { said: JSON.parse(stdout), status };
}

async function parallelCalls() {
	const gate = new Gate(mock);
	await gate.agent('openai.mjs', 'parallel', { 'max-requests': 1 }, { parallel: 50, calls: Array(50).fill(chat('mock:tokens=2 mock:head=50')) });
	note('50 parallel calls against `max_requests: 1`: served', (await mock.bill()).calls);
}

async function droppedStreams() {
	const gate = new Gate(mock);
	await mock.reset();
	await gate.daemon();
	await gate.agent('openai.mjs', 'drops', { 'limit-usd': '1' }, { calls: Array(5).fill({ ...chat('mock:tokens=40 mock:delay=5', { stream: true }), abortAfter: 3 }) });
	const status = await until(async () => {
		const now = (await gate.run('drops', { 'limit-usd': '1' }, ['true'])).status;
		return now.held_usd === '0' && now;
	}, 'the streams to be settled');
	const bill = await mock.bill();
	note('a stream that the client drops before its last chunk, 5 times: counted', `${status.calls} of 5, ${status.spent_usd} USD where the provider bills ${bill.usd}`);
	await gate.stop();
}

async function history() {
	const gate = new Gate(mock);
	await gate.daemon();
	const { said } = await ask(gate, 'history', { 'limit-usd': '1000', 'max-requests': 1000000 }, `
		await timed(50);
		const medians = [await timed(200)];
		for (const [have, want] of [[250, 1000], [1200, 10000], [10200, 30000]]) { await many(want - have, 16); medians.push(await timed(200)); }
		return medians;`);
	note('one call, end to end, with 0, 1 k, 10 k and 30 k calls behind it', said.map((ms) => `${ms.toFixed(2)} ms`).join(', '));
	await gate.stop();
}

async function throughput() {
	const gate = new Gate(mock);
	await gate.daemon();
	const script = 'await many(500, 8); const rounds = []; for (let i = 0; i < 5; i++) rounds.push([await many(1000, 1), await many(3000, 8)]); return rounds;';
	const middle = ({ said }, column) => said.map((round) => round[column]).sort((a, b) => a - b)[2];
	const off = await ask(gate, 'off', {}, script);
	const on = await ask(gate, 'on', { 'limit-usd': '1000', 'max-requests': 1000000 }, script);
	for (const [column, clients] of [[0, '1 client'], [1, '8 clients']])
		note(`calls a second at ${clients}, without and with a budget (the mock provider and the client are Node)`, `${middle(off, column).toFixed(0)} and ${middle(on, column).toFixed(0)}`);
	await gate.stop();
}

async function damage() {
	const governance = path.join(scratch, 'governance');
	fs.mkdirSync(path.join(governance, 'damaged'), { recursive: true });
	const gate = new Gate(mock);
	const override = path.join(governance, 'damaged/budget.json');
	fs.writeFileSync(override, '{"max_requests": 1, "window": "1h"}');
	await gate.daemon({ governance });
	const one = 'return [await call(), await call()];';
	await ask(gate, 'damaged', {}, one);
	fs.writeFileSync(override, '{"max_requests": 5, "win');
	const after = await ask(gate, 'damaged', {}, one);
	note('an override that is no JSON any more: answers to the next two calls', `${after.said.join(', ')}: the last good budget (1 call) stays`);
	gate.running.child.kill('SIGTERM');
	await gate.running.exited;
	const ledger = path.join(gate.env.SPENDGATE_STATE_DIR, 'ledger/ledger.db');
	fs.truncateSync(ledger, fs.statSync(ledger).size / 2);
	await mock.reset();
	const torn = await gate.run('damaged', { 'max-requests': 5 }, client(one));
	const named = gate.log().includes(ledger) ? 'the log names the file' : 'THE LOG SAYS NOTHING';
	note('a ledger of which half is gone: calls that reach the provider', `${(await mock.bill()).requests}: ${torn.code ? 'no agent starts' : `answers ${torn.stdout.trim()}`}, and ${named}`);
}

async function oddUsage() {
	const gate = new Gate(mock);
	for (const fault of ['negative', 'nan']) {
		await mock.reset();
		const { status } = await gate.agent('openai.mjs', `odd-${fault}`, { 'limit-usd': '1' }, { calls: [chat(`mock:tokens=5 mock:fault=${fault}`)] });
		note(`usage that is ${fault === 'nan' ? 'no number' : 'negative'}`, `charged by its hold: ${status.spent_usd} USD where the provider bills ${(await mock.bill()).usd}`);
	}
}

async function caches() {
	const gate = new Gate(mock);
	await mock.reset();
	const { status } = await gate.agent('anthropic.mjs', 'cached', { 'limit-usd': '100' }, {
		calls: [message('', { model: 'claude-sonnet-4-5', messages: [{ role: 'user', content: [{ type: 'text', text: 'mock:tokens=5 mock:cached=100000 mock:write=50000', cache_control: { type: 'ephemeral' } }] }] })],
	});
	note('100 k tokens read from the cache and 50 k written to it (claude-sonnet-4-5)', `${status.spent_usd} USD; the provider bills ${(await mock.bill()).usd}`);
}

async function directCalls() {
	const gate = new Gate(mock);
	await mock.reset();
	const { said, status } = await ask(gate, 'direct', { 'max-requests': 1 }, 'return [await call(), await call()];');
	note('the agent has its own key and calls the provider directly: answers', `${said.join(', ')}; ${status.calls} call metered, ${(await mock.bill()).requests} reached the provider`);
}

try {
	for (const weakness of [parallelCalls, droppedStreams, history, throughput, damage, oddUsage, caches, directCalls]) await weakness();
	console.log(['| tried | spendgate |', '| --- | --- |', ...rows].join('\n'));
} finally {
	await mock.stop();
}
