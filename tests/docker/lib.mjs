// SPDX-License-Identifier: Apache-2.0
// A Docker engine with spendgate-runc, a spendgated, and a provider that containers reach at a public address. For tests inside sandbox.sh.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Gate, build, root, start, startMock, until } from '../e2e/lib.mjs';

export { build, chat, dollars, message, root, start, until } from '../e2e/lib.mjs';
export const here = path.dirname(fileURLToPath(import.meta.url));
export const PROVIDER = '198.51.100.10'; // TEST-NET-2, on the sandbox's loopback interface
export const PROVIDER6 = '2001:db8::10';
const DOCKER = '/usr/bin/docker';
const scratch = process.env.SPENDGATE_SCRATCH;

export class Host {
	// `shim`: further options of `spendgate docker install`.
	async begin(config = {}, shim = []) {
		execFileSync('ip', ['address', 'replace', `${PROVIDER}/32`, 'dev', 'lo']);
		execFileSync('ip', ['address', 'replace', `${PROVIDER6}/128`, 'dev', 'lo']);
		this.mock = await startMock(['--address', '::', '--port', '443']);
		this.config = { upstream_ca: this.mock.ca, ...config };
		this.gate = new Gate(this.mock);
		await this.gate.daemon(this.config);
		this.folder = path.join(scratch, 'engine');
		fs.mkdirSync(this.folder, { recursive: true });
		this.configure([`--run-dir`, this.gate.env.SPENDGATE_RUN_DIR, ...shim]);
		this.engine('start');
		this.env = { ...process.env, DOCKER_HOST: `unix://${this.folder}/docker.sock` };
		for (const name of ['busybox', 'agents']) this.load(name);
		return this;
	}

	// An image of images.sh; the engine of an earlier test file has left it.
	load(name) {
		if (this.docker('images', '-q', name)) return;
		this.docker('import', path.join(process.env.SPENDGATE_IMAGES, `${name}.tar`), name);
	}

	// An image `name` that is `agents` with labels of its own: { 'budget.max-requests': 2 }, without the prefix.
	label(name, labels) {
		this.docker('create', '--runtime', 'runc', '--name', `of-${name}`, 'agents', 'true');
		this.docker('commit', ...Object.entries(labels).flatMap(([key, value]) => ['--change', `LABEL spendgate.${key}=${value}`]), `of-${name}`, name);
		this.docker('rm', `of-${name}`);
	}

	configure(options) {
		this.daemonFile = path.join(this.folder, 'daemon.json');
		if (!fs.existsSync(this.daemonFile)) fs.writeFileSync(this.daemonFile, '{"live-restore": true, "log-level": "warn"}');
		execFileSync(path.join(build, 'spendgate'), ['docker', 'install', '--daemon-json', this.daemonFile, '--default', ...options]);
	}

	restartEngine() {
		this.engine('stop');
		this.engine('start');
	}

	// A spendgated that ends, and another one; `signal` ends it.
	async restartGate(signal = 'SIGTERM') {
		this.gate.running.child.kill(signal);
		await this.gate.running.exited;
		await this.gate.daemon(this.config);
	}

	engine(action) {
		execFileSync(path.join(here, 'engine.sh'), [action, this.folder], { stdio: ['ignore', 'ignore', 'inherit'] });
	}

	// Runs the engine's client; fails when it does.
	docker(...args) {
		return execFileSync(DOCKER, args, { env: this.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
	}

	// The same in the background: { code, stdout, stderr }.
	client(...args) {
		return start(DOCKER, args, { env: this.env }).done;
	}

	// The engine's API itself, for what would pay the client's start too often; the answer's body.
	api(method, url, body) {
		return new Promise((resolve, reject) => {
			const request = http.request({ socketPath: `${this.folder}/docker.sock`, method, path: url, headers: { 'content-type': 'application/json' } }, (answer) => {
				const parts = [];
				answer.on('data', (part) => parts.push(part));
				answer.on('end', () => (answer.statusCode < 300 ? resolve(Buffer.concat(parts)) : reject(new Error(`${method} ${url}: ${Buffer.concat(parts)}`))));
			});
			request.on('error', reject);
			request.end(body && JSON.stringify(body));
		});
	}

	// `docker run` of an agent: labels is e.g. { 'budget.max-requests': 2 }, without the prefix.
	run(labels, command, { image = 'agents', options = [] } = {}) {
		const flags = Object.entries(labels).flatMap(([key, value]) => ['--label', `spendgate.${key}=${value}`]);
		return this.client('run', '--rm', '--add-host', `api.openai.com:${PROVIDER}`, '--add-host', `api.anthropic.com:${PROVIDER}`, '-v', `${root}/tests:/tests:ro`, ...flags, ...options, image, ...command);
	}

	async status() {
		const { stdout, stderr, code } = await start(path.join(build, 'spendgate'), ['status', '--json'], { env: this.gate.env }).done;
		if (code) throw new Error(stderr);
		return JSON.parse(stdout);
	}

	// No agent is left in spendgated: every container has ended.
	empty() {
		return until(async () => (await this.status()).agents.length === 0, 'the agents to be gone');
	}

	log() {
		return this.gate.running.stderr;
	}

	logged(pattern) {
		return this.gate.logged(pattern);
	}

	async end() {
		this.engine('stop');
		await this.gate.stop();
		await this.mock.stop();
	}
}
