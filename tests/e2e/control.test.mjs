// SPDX-License-Identifier: Apache-2.0
// Limits that change while an agent runs: command line, watched files, restarts. The agent is one process over each whole test, so
// nothing can have been restarted; what providers billed is the mock's own account.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Gate, build, dollars, here, scratch, start, startMock, until } from './lib.mjs';

let mock, counter = 0;
before(async () => (mock = await startMock()));
beforeEach(() => mock.reset());
after(() => mock.stop());

// Some 0.000027 USD a call.
const small = { model: 'gpt-5-nano', max_tokens: 65, service_tier: 'default', messages: [{ role: 'user', content: 'mock:tokens=65' }] };

// A daemon with watched directories, and agents that stay.
class Fleet extends Gate {
	constructor() {
		super(mock);
		this.governance = path.join(scratch, `governance-${++counter}`);
		this.compiled = path.join(scratch, `compiled-${counter}`);
		fs.mkdirSync(this.governance);
		fs.mkdirSync(this.compiled);
		this.agents = [];
	}

	open(config = {}) {
		return this.daemon({ governance: this.governance, compiled: this.compiled, ...config });
	}

	async join(name, caps) {
		const socket = path.join(scratch, `agent-${++counter}.sock`);
		const agent = this.begin(name, caps, ['node', path.join(here, 'agents/served.mjs'), socket]);
		await until(() => agent.stdout.includes('listening') || agent.child.exitCode !== null, 'the agent');
		assert.equal(agent.child.exitCode, null, agent.stderr);
		const connection = net.connect(socket);
		let text = '', waiting;
		connection.on('data', (data) => {
			text += data;
			if (!text.endsWith('\n')) return;
			const answer = JSON.parse(text);
			text = '';
			waiting(answer);
		});
		const ask = (order) => new Promise((resolve) => {
			waiting = resolve;
			connection.write(JSON.stringify(order) + '\n');
		});
		const handle = { kill: () => agent.child.kill('SIGKILL'), call: (more = {}) => ask({ ...small, ...more }), end: async () => {
			connection.end(JSON.stringify({ end: true }) + '\n');
			return agent.done;
		} };
		this.agents.push(handle);
		return handle;
	}

	cli(...args) {
		return start(path.join(build, 'spendgate'), args, { env: { ...this.env, SUDO_USER: 'alice' } }).done;
	}

	async budget(...args) {
		const { code, stdout, stderr } = await this.cli('budget', ...args, '--json');
		assert.equal(code, 0, stderr);
		return JSON.parse(stdout);
	}

	async audit(event) {
		const { stdout } = await this.cli('audit', '-n', '1000');
		return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line)).filter((line) => !event || line.event === event);
	}

	write(directory, agent, file, content) {
		fs.mkdirSync(path.join(directory, agent), { recursive: true });
		const target = path.join(directory, agent, file);
		fs.writeFileSync(`${target}.new`, typeof content === 'string' ? content : JSON.stringify(content));
		fs.renameSync(`${target}.new`, target);
	}

	// The daemon has taken notice: a line of the audit log says so.
	async noticed(event, test = () => true) {
		return until(async () => (await this.audit(event)).find(test), `${event} in the audit log`);
	}

	async close() {
		for (const agent of this.agents) {
			const late = setTimeout(agent.kill, 5000);
			await agent.end();
			clearTimeout(late);
		}
		await this.stop();
	}
}

// Whatever happens in it, nothing is left running.
function scenario(name, run) {
	test(name, async () => {
		const fleet = new Fleet();
		try {
			await run(fleet);
		} finally {
			await fleet.close();
		}
	});
}

scenario('the spike: a cap of 0.00005 is spent, raised live to 1.0, and the next call goes through', async (fleet) => {
	await fleet.open();
	const agent = await fleet.join('spike', { 'limit-usd': '0.00005', window: '1h' });
	const first = await agent.call();
	assert.equal(first.status, 200, JSON.stringify(first));
	const refused = await agent.call();
	assert.equal(refused.status, 429);
	assert.match(refused.message, /exhausted: \$/);
	const [line] = await fleet.audit('refused');
	assert.deepEqual([line.agent, line.reason, line.status, line.budget.limit_usd], ['spike', 'budget_exceeded', 429, '0.00005']);
	const before = await mock.bill();
	assert.ok(BigInt(before.nanousd) <= dollars('0.00005'));

	const change = await fleet.budget('set', 'spike', '--limit-usd', '1.0', '--reason', 'the demo goes on');
	assert.equal(change.before[0].limit_usd, '0.00005');
	assert.equal(change.after[0].limit_usd, '1.0');
	assert.equal((await agent.call()).status, 200);
	const shown = (await fleet.budget('show', 'spike')).agents[0];
	const billed = BigInt((await mock.bill()).nanousd);
	assert.equal(dollars(shown.usage.budgets[0].spent_usd), billed); // what was spent before is still counted
	assert.ok(billed > BigInt(before.nanousd));
	const [changed] = await fleet.audit('budget_changed');
	assert.deepEqual([changed.who, changed.change.reason, changed.before[0].limit_usd, changed.after[0].limit_usd], ['cli:alice', 'the demo goes on', '0.00005', '1.0']);
	assert.equal(fs.statSync(path.join(fleet.env.SPENDGATE_STATE_DIR, 'ledger/audit.jsonl')).mode & 0o777, 0o600);
});

scenario('case 31: an override file raises the cap: the next call obeys, no restart', async (fleet) => {
	await fleet.open();
	const agent = await fleet.join('c31', { 'limit-usd': '0.00005', window: '1h' });
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	fleet.write(fleet.governance, 'c31', 'budget-override.json', { limit_usd: 0.5 });
	await fleet.noticed('budget_changed', (line) => line.who.endsWith('c31/budget-override.json'));
	assert.equal((await agent.call()).status, 200);
	// The stronger file lowers it again, below what is spent.
	fleet.write(fleet.governance, 'c31', 'budget.json', { limit_usd: '0.00004' });
	await fleet.noticed('budget_changed', (line) => line.who.endsWith('c31/budget.json'));
	assert.equal((await agent.call()).status, 429);
	// And without it the weaker one is in force again.
	fs.unlinkSync(path.join(fleet.governance, 'c31/budget.json'));
	await fleet.noticed('budget_changed', (line) => line.change.removed);
	assert.equal((await agent.call()).status, 200);
	assert.equal((await mock.bill()).calls, 3);
});

scenario('case 32: an override of max_requests alone keeps the other fields', async (fleet) => {
	await fleet.open();
	const agent = await fleet.join('c32', { 'max-requests': 1, 'limit-usd': '0.5', window: '1h' });
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	fleet.write(fleet.governance, 'c32', 'budget.json', { max_requests: 2 });
	await fleet.noticed('budget_changed');
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	const [shown] = (await fleet.budget('show', 'c32')).agents;
	assert.deepEqual([shown.budgets[0].limit_usd, shown.budgets[0].max_requests, shown.budgets[0].window], ['0.5', 2, '1h']);
	assert.equal((await mock.bill()).calls, 2);
});

scenario('case 33: an agent that had no budget gets one', async (fleet) => {
	await fleet.open();
	const agent = await fleet.join('c33', {});
	assert.equal((await agent.call()).status, 200);
	fleet.write(fleet.governance, 'c33', 'budget.json', { max_requests: 2, window: '1h' });
	await fleet.noticed('budget_changed');
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]); // the first call counts
	assert.equal((await agent.call({ model: 'gpt-99' })).status, 403); // and so do the rules of agents with a budget
	assert.equal((await mock.bill()).calls, 2);
});

scenario('case 34: a malformed or zero override is refused: the last good policy stays, over a restart too', async (fleet) => {
	await fleet.open();
	const agent = await fleet.join('c34', { 'max-requests': 9, window: '1h' });
	fleet.write(fleet.governance, 'c34', 'budget.json', { max_requests: 1 });
	await fleet.noticed('budget_changed');
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	for (const [bad, reason] of [['{"max_requests": 5', /line 1/], [{ max_requests: 0 }, /max-requests must be > 0/], [{ limit_usd: -1 }, /limit-usd must be > 0/], [{ limit: 5 }, /unknown key "limit"/], ['', /line/]]) {
		const known = (await fleet.audit('override_rejected')).length;
		fleet.write(fleet.governance, 'c34', 'budget.json', bad);
		await until(async () => (await fleet.audit('override_rejected')).length > known, 'a rejection');
		const line = (await fleet.audit('override_rejected')).at(-1);
		assert.match(line.error, reason);
		assert.match(line.source, /c34\/budget.json$/);
		assert.equal((await agent.call()).status, 429);
	}
	const { stdout } = await fleet.cli('status', '--json');
	assert.match(JSON.parse(stdout).agents[0].policy_errors[0].error, /line 1/);
	assert.match((await fleet.cli('budget', 'show')).stdout, /REFUSED .*budget.json/);
	// The enforcer is killed while the file is bad.
	process.kill(Number([...fleet.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)[1]), 'SIGKILL');
	await until(() => [...fleet.running.stderr.matchAll(/enforcer_ready/g)].length === 2, 'another enforcer');
	await until(async () => (await agent.call()).status === 429, 'a refusal');
	assert.equal((await mock.bill()).calls, 1);
	// A good file ends it.
	fleet.write(fleet.governance, 'c34', 'budget.json', { max_requests: 2 });
	await until(async () => (await fleet.budget('show', 'c34')).agents[0].errors.length === 0, 'no error');
	assert.equal((await agent.call()).status, 200);
});

scenario('live overrides: stronger than files, add up, survive a restart, expire, and are taken back', async (fleet) => {
	await fleet.open();
	const agent = await fleet.join('live', { 'max-requests': 1, 'limit-usd': '0.5', window: '1h' });
	fleet.write(fleet.governance, 'live', 'budget.json', { max_requests: 2 });
	await fleet.noticed('budget_changed');
	await fleet.budget('set', 'live', '--max-requests', '3');
	for (const status of [200, 200, 200, 429]) assert.equal((await agent.call()).status, status);
	assert.equal((await fleet.budget('add', 'live', '0.25')).after[0].limit_usd, '0.75');
	assert.equal((await fleet.budget('add', 'live', '0.05')).after[0].limit_usd, '0.8');
	process.kill(Number([...fleet.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)[1]), 'SIGKILL');
	await until(() => [...fleet.running.stderr.matchAll(/enforcer_ready/g)].length === 2, 'another enforcer');
	await until(async () => (await fleet.budget('show', 'live')).agents[0]?.started, 'the agent again');
	const kept = (await fleet.budget('show', 'live')).agents[0].budgets[0];
	assert.deepEqual([kept.max_requests, kept.limit_usd], [3, '0.8']);
	// For a second only.
	await fleet.budget('set', 'live', '--max-requests', '100', '--expires', '1s');
	assert.equal((await agent.call()).status, 200);
	await fleet.noticed('budget_expired');
	assert.equal((await agent.call()).status, 429);
	assert.equal((await fleet.budget('rm', 'live')).after[0].max_requests, 2);
	assert.equal((await mock.bill()).calls, 4);

	for (const [args, reason] of [[['set', 'live', '--limit-usd', '0'], /limit-usd must be > 0/], [['set', 'live'], /nothing to set/], [['set', 'live', '--window', 'soon'], /window must be a positive duration/],
		[['add', 'live', '-1'], /invalid option|add_usd must be > 0/], [['set', 'live', '--max-requests', '5', '--expires', '2020-01-01T00:00:00Z'], /in the past/], [['rm', 'live'], /no live override/], [['show', 'nobody'], /no agent "nobody"/], [['set', '../x', '--limit-usd', '1'], /agent name/]]) {
		const { code, stderr } = await fleet.cli('budget', ...args);
		assert.notEqual(code, 0);
		assert.match(stderr, reason);
	}
});

scenario('an override that was set before the agent starts, and compiled metadata, hold from its first call', async (fleet) => {
	fleet.write(fleet.compiled, 'early', 'metadata.json', { agent_id: 'early', budget: { max_requests: 1, window: '1h', behavior: 'hard_stop' } });
	await fleet.open();
	const agent = await fleet.join('early', {});
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	assert.match((await fleet.cli('budget', 'set', 'later', '--max-requests', '1', '--window', '1h')).stdout, /not started yet/);
	const later = await fleet.join('later', {});
	assert.deepEqual([(await later.call()).status, (await later.call()).status], [200, 429]);
	// Whole directories come and go.
	fs.renameSync(path.join(fleet.compiled, 'early'), path.join(fleet.compiled, '.away'));
	await fleet.noticed('budget_changed', (line) => line.agent === 'early' && line.change.removed);
	assert.equal((await agent.call()).status, 200);
	fs.renameSync(path.join(fleet.compiled, '.away'), path.join(fleet.compiled, 'early'));
	await until(async () => (await agent.call()).status === 429, 'the budget again');
});

scenario('a folder that is made under another name and renamed is its new agent\'s', async (fleet) => {
	await fleet.open();
	fs.mkdirSync(path.join(fleet.governance, 'renamed-new'));
	fleet.write(fleet.governance, 'marker', 'budget.json', { max_requests: 1, window: '1h' });
	await fleet.noticed('budget_changed', (line) => line.agent === 'marker');
	fs.renameSync(path.join(fleet.governance, 'renamed-new'), path.join(fleet.governance, 'renamed'));
	fleet.write(fleet.governance, 'marker', 'budget.json', { max_requests: 2, window: '1h' });
	await until(async () => (await fleet.audit('budget_changed')).filter((line) => line.agent === 'marker').length === 2, 'the renaming to be seen');
	fleet.write(fleet.governance, 'renamed', 'budget.json', { max_requests: 3, window: '1h' });
	await fleet.noticed('budget_changed', (line) => line.agent === 'renamed');
});

scenario('a link in a watched directory is not followed', async (fleet) => {
	await fleet.open();
	fs.mkdirSync(path.join(fleet.governance, 'link'));
	fs.symlinkSync('/etc/shadow', path.join(fleet.governance, 'link/budget.json'));
	const line = await fleet.noticed('override_rejected', (line) => line.agent === 'link');
	assert.match(line.error, /symbolic link/);
});

scenario('the audit log goes on after it was rotated', async (fleet) => {
	await fleet.open();
	const file = path.join(fleet.env.SPENDGATE_STATE_DIR, 'ledger/audit.jsonl');
	await fleet.budget('set', 'rotated', '--max-requests', '1', '--window', '1h');
	fs.renameSync(file, `${file}.1`);
	await fleet.budget('set', 'rotated', '--max-requests', '2');
	assert.equal(JSON.parse(fs.readFileSync(file, 'utf8')).change.max_requests, 2);
	assert.equal(JSON.parse(fs.readFileSync(`${file}.1`, 'utf8')).change.max_requests, 1);
});

scenario('spendgate compile: a pod file reaches running agents, a mistake in it changes nothing', async (fleet) => {
	const pod = path.join(scratch, `pod-${++counter}.yml`);
	const write = (budget) => fs.writeFileSync(pod, `x-claw:\n  pod: demo\nservices:\n  trader:\n    image: none\n    x-claw:\n      count: 2\n      budget: ${budget}\n`);
	write('{max-requests: 1, window: 1h}');
	const once = await fleet.cli('compile', pod, '-o', fleet.compiled);
	assert.equal(once.code, 0, once.stderr);
	const metadata = JSON.parse(fs.readFileSync(path.join(fleet.compiled, 'trader-1/metadata.json')));
	assert.deepEqual(metadata, { agent_id: 'trader-1', pod: 'demo', service: 'trader', budget: { max_requests: 1, window: '1h', behavior: 'hard_stop' } });
	await fleet.open();
	const agent = await fleet.join('trader-0', {});
	const other = await fleet.join('trader-1', {});
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	assert.equal((await other.call()).status, 200); // a cap of its own
	const watcher = start(path.join(build, 'spendgate'), ['compile', '--watch', pod, '-o', fleet.compiled], { env: fleet.env });
	try {
		await until(() => watcher.stdout.includes('2 agents'), 'the watcher');
		write('{max-requests: 2, window: 1h}');
		await until(async () => (await agent.call()).status === 200, 'the new cap');
		write('{max-requests: 0, window: 1h}');
		await until(() => watcher.stderr.includes('service "trader": parse budget: max-requests must be > 0 (line 8'), 'the mistake');
		assert.equal((await agent.call()).status, 429);
		write('null'); // no budget any more
		await until(async () => (await agent.call()).status === 200, 'no cap');
		fs.writeFileSync(pod, 'services: {}\n');
		await until(() => !fs.existsSync(path.join(fleet.compiled, 'trader-1')), 'the end of the stale directory');
	} finally {
		watcher.child.kill();
		await watcher.done;
	}
	for (const [args, code] of [[['compile', pod], 64], [['compile', '/nonexistent.yml', '-o', fleet.compiled], 1], [['compile', path.join(build, 'spendgate'), '-o', fleet.compiled], 65]])
		assert.equal((await fleet.cli(...args)).code, code, args.join(' '));
});

scenario('the control API: tokens, verbs, scopes, live changes, metrics, over unix socket and TCP, over a restart of either half', async (fleet) => {
	const tokens = {};
	const principal = async (name, verbs, agents) => {
		const { stdout } = await fleet.cli('token');
		const [, token, hash] = stdout.match(/^token +(\S+)\ntoken_sha256 +(\S+)\n$/);
		tokens[name] = token;
		return { name, token_sha256: hash, verbs, agents };
	};
	const api = { listen: '127.0.0.1:19797', principals: [await principal('operator', ['fleet.status', 'fleet.query_metrics', 'fleet.budget.get', 'fleet.budget.set', 'fleet.audit'], ['api-*']), await principal('watcher', ['fleet.status'], ['*'])] };
	const config = { api };
	await fleet.open(config);
	const agent = await fleet.join('api-1', { 'max-requests': 1, 'limit-usd': '0.5', window: '1h' });
	const request = async (method, url, { token = tokens.operator, body } = {}) => {
		const response = await fetch(`http://127.0.0.1:19797${url}`, { method, headers: token ? { authorization: `Bearer ${token}` } : {}, body: body && (typeof body === 'string' ? body : JSON.stringify(body)) });
		const text = await response.text();
		return { status: response.status, text, json: text.startsWith('{') ? JSON.parse(text) : null, headers: response.headers };
	};
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	const nobody = await request('GET', '/v1/status', { token: '' });
	assert.deepEqual([nobody.status, nobody.json.error, nobody.headers.get('www-authenticate')], [401, 'invalid bearer token', 'Bearer']);
	assert.equal((await request('PATCH', '/v1/budgets/api-1', { token: tokens.watcher, body: { max_requests: 9 } })).status, 403);
	assert.equal((await request('PATCH', '/v1/budgets/else', { body: { max_requests: 9 } })).status, 403);
	assert.equal((await request('PATCH', '/v1/budgets/api-1', { body: 'x'.repeat(70000) })).status, 413);
	assert.equal((await agent.call()).status, 429);
	const changed = await request('PATCH', '/v1/budgets/api-1', { body: { max_requests: 2, reason: 'one more' } });
	assert.deepEqual([changed.status, changed.json.after[0].max_requests, changed.json.after[0].limit_usd], [200, 2, '0.5']);
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	// As the reference has it.
	const set = await request('POST', '/fleet/budget/set', { body: { claw_id: 'api-1', limit_usd: 1.0, max_requests: 3, window: '1h', behavior: 'rate_limit' } });
	assert.deepEqual([set.status, set.json.claw_id, set.json.budget.max_requests], [200, 'api-1', 3]);
	assert.deepEqual([(await agent.call()).status, (await agent.call()).status], [200, 429]);
	const metrics = await request('GET', '/metrics');
	assert.match(metrics.headers.get('content-type'), /text\/plain; version=0.0.4/);
	assert.match(metrics.text, /^spendgate_agent_calls_total\{agent="api-1"\} 3$/m);
	assert.match(metrics.text, /^spendgate_agent_refused_total\{agent="api-1"\} 4$/m);
	assert.match(metrics.text, /^spendgate_redirect_total\{reason="redirected"\} [1-9]/m);
	const spent = metrics.text.match(/^spendgate_agent_spent_usd_total\{agent="api-1"\} (\S+)$/m)[1];
	assert.equal(dollars(spent), BigInt((await mock.bill()).nanousd));
	const lines = (await request('GET', '/v1/audit?lines=1000&agent=api-1')).json.lines;
	assert.ok(lines.some((line) => line.event === 'budget_changed' && line.who === 'api:operator'));
	assert.ok((await fleet.audit('api_denied')).some((line) => line.who === 'api:watcher' && line.detail === 'verb denied'));

	// The unix socket, root's alone, also after the enforcer was killed, and after the warden was.
	const socket = path.join(fleet.env.SPENDGATE_RUN_DIR, 'api.sock');
	assert.equal(fs.statSync(socket).mode & 0o777, 0o600);
	const over = async () => JSON.parse((await start('curl', ['-sS', '--unix-socket', socket, '-H', `authorization: Bearer ${tokens.operator}`, 'http://api/v1/budgets/api-1']).done).stdout || '{}');
	assert.equal((await over()).agents[0].budgets[0].max_requests, 3);
	process.kill(Number([...fleet.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)[1]), 'SIGKILL');
	await until(() => [...fleet.running.stderr.matchAll(/enforcer_ready/g)].length === 2, 'another enforcer');
	await until(async () => (await over()).agents?.[0].started, 'the API of the new enforcer');
	fleet.running.child.kill('SIGKILL');
	await fleet.running.exited;
	await fleet.open(config);
	await until(async () => (await over()).agents?.[0].budgets?.[0].max_requests === 3, 'the API of the new warden');
	assert.equal((await request('GET', '/health', { token: '' })).status, 200);
});

scenario('ledger export and report, beside a daemon that writes: every call, exact dollars, filters', async (fleet) => {
	await fleet.open();
	const [one, two] = [await fleet.join('books-1', {}), await fleet.join('books-2', {})];
	for (const agent of [one, one, two]) assert.equal((await agent.call()).status, 200);
	const day = new Date().toISOString().slice(0, 10);
	const lines = (text) => text.split('\n').filter(Boolean);
	const calls = () => fleet.cli('ledger', 'export', '--format', 'jsonl').then(({ stdout }) => lines(stdout).map((line) => JSON.parse(line)));
	const all = await until(async () => (await calls()).length === 3 && calls(), 'three calls in the ledger'); // the writer takes up to 100 ms
	const billed = BigInt((await mock.bill()).nanousd);
	assert.equal(all.reduce((sum, call) => sum + dollars(call.usd), 0n), billed);
	assert.ok(all.every((call) => call.provider === 'openai' && call.state === 'settled' && call.at.startsWith(day) && call.output === 65));
	const csv = lines((await fleet.cli('ledger', 'export', '--agent', 'books-2')).stdout);
	assert.equal(csv.length, 2);
	assert.match(csv[0], /^call_id,at,agent,team,provider,api,model,requested_model,state,http_status,input,output,/);
	assert.match(csv[1], /,books-2,/);
	const report = async (...args) => lines((await fleet.cli('report', '--format', 'jsonl', ...args)).stdout).map((line) => JSON.parse(line));
	const byAgent = await report();
	assert.deepEqual(byAgent.map((row) => [row.agent, row.calls]), [['books-1', 2], ['books-2', 1]]);
	assert.equal(dollars(byAgent[0].usd) + dollars(byAgent[1].usd), billed);
	assert.deepEqual((await report('--by', 'model,day')).map((row) => [row.model, row.day, row.calls]), [['gpt-5-nano', day, 3]]);
	assert.equal((await report('--by', 'team')).length, 1);
	assert.deepEqual(await report('--since', '2099-01-01'), []);
	assert.deepEqual(await report('--until', '2020-01-01'), []);
	assert.equal((await report('--since', day, '--until', day)).length, 2);
	assert.match((await fleet.cli('report')).stdout, /^agent +calls +estimated +input +output +usd\nbooks-1 /);
	for (const args of [['report', '--by', 'agent;DROP TABLE calls'], ['report', '--by', ''], ['report', '--since', 'yesterday'], ['ledger'], ['ledger', 'export', '--format', 'xml']])
		assert.equal((await fleet.cli(...args)).code, 64, args.join(' '));
	assert.equal((await fleet.cli('report', '--state-dir', '/nonexistent')).code, 1);
	assert.equal((await one.call()).status, 200); // the daemon goes on
});

scenario('an alert is told once a window: audit line and metric', async (fleet) => {
	await fleet.open();
	await fleet.budget('set', 'alerted', '--max-requests', '4', '--window', '1h', '--field', 'alerts=[50, 100]');
	const agent = await fleet.join('alerted', {});
	for (const status of [200, 200, 200]) assert.equal((await agent.call()).status, status);
	const line = await fleet.noticed('budget_alert');
	assert.equal(line.agent, 'alerted');
	assert.equal((await agent.call()).status, 200);
	await until(async () => (await fleet.audit('budget_alert')).length === 2, 'the second alert');
	assert.equal((await agent.call()).status, 429);
	assert.equal(JSON.parse((await fleet.cli('status', '--json')).stdout).agents[0].alerts, 2);
});
