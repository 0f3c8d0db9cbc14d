// SPDX-License-Identifier: Apache-2.0
// What the end-to-end tests share: the mock provider, and agents under `spendgate run`. They run inside run.sh's sandbox: a network
// namespace with nothing but loopback, where the providers' names lead to addresses that no packet can reach.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, '../..');
export const build = path.resolve(root, process.env.SPENDGATE_BUILD ?? 'build/gcc');
export const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'spendgate-e2e-'));
fs.chmodSync(scratch, 0o755); // the enforcer's user must reach its socket
export const PYTHON = '/usr/bin/python3'; // Debian's, with python3-requests and python3-httpx

let counter = 0;

export function directories() {
	const id = `${process.pid}-${++counter}`;
	return {
		SPENDGATE_RUN_DIR: path.join(scratch, `run-${id}`),
		SPENDGATE_STATE_DIR: path.join(scratch, `state-${id}`),
		SPENDGATE_PIN_DIR: `/sys/fs/bpf/spendgate-e2e-${id}`,
	};
}

export function start(command, args, options = {}) {
	const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
	const result = { child, stdout: '', stderr: '' };
	child.stdout.on('data', (data) => (result.stdout += data));
	child.stderr.on('data', (data) => (result.stderr += data));
	result.exited = new Promise((resolve) => child.on('exit', resolve)); // others may still hold its output
	result.done = new Promise((resolve, reject) => {
		child.on('error', reject);
		child.on('close', (code, signal) => resolve({ code: code ?? 128 + os.constants.signals[signal], stdout: result.stdout, stderr: result.stderr }));
	});
	return result;
}

export async function until(condition, what, ms = 15000) {
	const deadline = Date.now() + ms;
	for (;;) {
		const value = await condition();
		if (value) return value;
		if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

export async function startMock(extra = []) {
	const process_ = start('node', [path.join(root, 'tools/mock-provider/server.mjs'), '--dir', path.join(scratch, `mock-${++counter}`), ...extra]);
	const ready = JSON.parse(await until(() => process_.stdout.split('\n')[0], 'the mock provider'));
	const address = ready.address === '::' ? '127.0.0.1' : ready.address; // every one of its addresses
	const control = async (method, url, body) => (await fetch(`http://${address}:${ready.control_port}${url}`, { method, body: body && JSON.stringify(body) })).json();
	return {
		...ready,
		bill: () => control('GET', '/bill'),
		reset: () => control('POST', '/reset'),
		faults: (orders) => control('POST', '/faults', orders),
		stop: async () => {
			process_.child.kill();
			await process_.done;
		},
	};
}

// Where an agent's calls to both providers lead.
export function origins(mock) {
	return ['--origin', `api.openai.com=127.0.0.1:${mock.port}`, '--origin', `eu.api.openai.com=127.0.0.1:${mock.port}`, '--origin', `api.anthropic.com=127.0.0.1:${mock.port}`, '--upstream-ca', mock.ca];
}

export class Gate {
	constructor(mock, extraEnv = {}) {
		this.mock = mock;
		this.env = { ...process.env, ...directories(), ...extraEnv };
		this.logs = '';
	}

	// Starts `spendgate run`; caps is e.g. { 'limit-usd': '0.01' }.
	begin(agent, caps, command, extra = [], stdin = 'ignore') {
		this.statusFile = path.join(scratch, `status-${++counter}.json`);
		const flags = Object.entries(caps).flatMap(([key, value]) => [`--${key}`, `${value}`]);
		return start(path.join(build, 'spendgate'), ['run', '--agent', agent, ...flags, ...origins(this.mock), '--status-file', this.statusFile, ...extra, '--', ...command], { env: this.env, cwd: here, stdio: [stdin, 'pipe', 'pipe'] });
	}

	async run(agent, caps, command, extra = []) {
		const result = await this.begin(agent, caps, command, extra).done;
		const file = this.statusFile;
		result.status = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)) : null;
		return result;
	}

	// An agent with a script of agents/, its results parsed.
	async agent(script, agent, caps, orders, extra = []) {
		const result = await this.run(agent, caps, ['node', path.join(here, 'agents', script), JSON.stringify(orders)], extra);
		if (!result.stdout.trim()) throw new Error(`the agent said nothing: ${result.stderr}`);
		return { ...result, results: JSON.parse(result.stdout) };
	}

	log() {
		const file = path.join(this.env.SPENDGATE_RUN_DIR, 'spendgated.log');
		return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
	}

	// A daemon of its own that outlives its agents.
	async daemon(config = {}) {
		const file = path.join(scratch, `config-${++counter}.json`);
		fs.writeFileSync(file, JSON.stringify(config));
		const daemon = start(path.join(build, 'spendgated'), ['--config', file], { env: this.env });
		await until(() => daemon.stderr.includes('event=enforcer_ready') || daemon.child.exitCode !== null, 'spendgated');
		this.running = daemon;
		return daemon;
	}

	// Waits for a line of the running daemon's log: it may be read after the answer that it is about.
	logged(pattern) {
		return until(() => pattern.test(this.running.stderr), `${pattern} in the log:\n${this.running.stderr}`);
	}

	async stop() {
		if (this.running) {
			this.running.child.kill('SIGTERM');
			await this.running.done;
			await start(path.join(build, 'spendgated'), ['--purge'], { env: this.env }).done;
		}
	}
}

export const dollars = (text) => {
	const [whole, fraction = ''] = text.split('.');
	return BigInt(whole + fraction.padEnd(9, '0').slice(0, 9));
};

export const chat = (text, more = {}) => ({ api: 'chat', body: { model: 'gpt-4o', max_tokens: 50, messages: [{ role: 'user', content: text }], ...more } });
export const message = (text, more = {}) => ({ body: { model: 'claude-opus-5', max_tokens: 50, messages: [{ role: 'user', content: text }], ...more } });
