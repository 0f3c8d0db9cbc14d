// SPDX-License-Identifier: Apache-2.0
// Other ways to start a container: compose, podman, containerd's own client.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Host, PROVIDER, build, start, until } from './lib.mjs';

const scratch = process.env.SPENDGATE_SCRATCH;
let host, runtime, rootfs;
before(async () => {
	host = new Host();
	await host.begin();
	host.load('go');
	// Engines that are told a program only: with our run directory, which is another than the default.
	runtime = path.join(scratch, 'runtime');
	fs.writeFileSync(runtime, `#!/bin/sh\nexec ${build}/spendgate-runc --spendgate-run-dir=${host.gate.env.SPENDGATE_RUN_DIR} "$@"\n`, { mode: 0o755 });
	rootfs = path.join(scratch, 'go-root');
	fs.mkdirSync(rootfs);
	execFileSync('tar', ['-C', rootfs, '-xf', path.join(process.env.SPENDGATE_IMAGES, 'go.tar')]);
	// The sandbox's own names, for containers that get the host's: its mounts are its own.
	const hosts = path.join(scratch, 'hosts');
	fs.writeFileSync(hosts, `${PROVIDER} api.openai.com\n`);
	fs.copyFileSync(hosts, path.join(rootfs, 'etc/hosts'));
	execFileSync('mount', ['--bind', hosts, '/etc/hosts']);
});
beforeEach(() => host.mock.reset());
after(async () => {
	execFileSync('umount', ['/etc/hosts']);
	await host.end();
});

test('compose: services are agents by their own names', async () => {
	const file = path.join(scratch, 'compose.json');
	const service = (labels, calls) => ({ image: 'go', command: ['/call', `${calls}`], extra_hosts: [`api.openai.com:${PROVIDER}`], labels });
	fs.writeFileSync(file, JSON.stringify({
		version: '2.4',
		services: {
			writer: service({ 'spendgate.budget.max-requests': '2' }, 3),
			critic: service({ 'spendgate.budget.max-requests': '1' }, 3),
			database: { image: 'busybox', command: ['true'] },
		},
	}));
	const compose = (...args) => start('/usr/bin/docker-compose', ['-p', 'fleet', '-f', file, ...args], { env: host.env }).done;
	const { code, stderr } = await compose('up', '-d');
	assert.equal(code, 0, stderr);
	const says = async (name) => {
		const id = host.docker('ps', '-aq', '--filter', `label=com.docker.compose.service=${name}`);
		await host.client('wait', id);
		return host.docker('logs', id).split('\n');
	};
	assert.deepEqual([await says('writer'), await says('critic')], [['200', '200', '402'], ['200', '402', '402']]);
	assert.equal((await host.mock.bill()).requests, 3);
	for (const name of ['fleet-writer-1', 'fleet-critic-1']) await host.logged(new RegExp(`event=agent_registered agent=${name} `));
	assert.doesNotMatch(host.log(), /agent=fleet-database/);
	await compose('down', '-t', '0');
	await host.empty();
});

const refusal = /label spendgate\.budget\.max-requests "two": must be a whole number/;

// podman, whose containers have the host's network; `folder` is its own.
const folder = path.join(scratch, 'podman');
const podman = (...args) => start('podman', ['--root', `${folder}/root`, '--runroot', `${folder}/run`, '--tmpdir', `${folder}/tmp`, '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', '--runtime', runtime, ...args]).done;
const run = (labels, ...more) => podman('run', '--network', 'host', '--log-driver', 'k8s-file', '--cgroup-parent', process.env.SPENDGATE_CGROUP_PARENT, '--no-hosts', '--pids-limit', '0', ...annotations(labels), ...more);
const annotations = (labels) => Object.entries(labels).flatMap(([key, value]) => ['--annotation', `spendgate.${key}=${value}`]);

test('podman: annotations are labels, and nothing is left of what they started', async () => {
	const { code, stdout, stderr } = await run({ agent: 'pod', 'budget.max-requests': 1 }, '--rm', '--rootfs', rootfs, '/call', '2');
	assert.equal(stdout, '200\n402\n', stderr);
	assert.equal(code, 1, 'its own');
	assert.equal((await host.mock.bill()).requests, 1);
	await host.empty();
	assert.equal((await podman('ps', '-aq')).stdout, '');

	const bad = await run({ 'budget.max-requests': 'two' }, '--rm', '--rootfs', rootfs, '/call', '1');
	assert.notEqual(bad.code, 0);
	assert.match(bad.stderr, refusal);
	assert.equal(bad.stdout, '');
});

test('podman: those of an image may tighten and no more', async () => {
	fs.mkdirSync(folder, { recursive: true });
	fs.writeFileSync(path.join(folder, 'Containerfile'), 'FROM scratch\nCOPY . /\n');
	const built = await podman('build', '-q', '--annotation', 'spendgate.agent=somebody', '-t', 'chooses', '-f', path.join(folder, 'Containerfile'), rootfs);
	assert.equal(built.code, 0, built.stderr);
	const chosen = await run({}, '--rm', 'chooses', '/call', '1');
	assert.notEqual(chosen.code, 0);
	assert.equal(chosen.stdout, '');
	await host.logged(/event=registration_refused .*label spendgate\.agent .*somebody.* is the image's own/);
	const given = await run({ agent: 'given', 'budget.max-requests': 1 }, '--rm', '-v', '/etc/hosts:/etc/hosts', 'chooses', '/call', '2');
	assert.equal(given.stdout, '200\n402\n', given.stderr);
	await host.empty();
});

test('podman: a restart policy, and what is executed in a container: all of it one agent with one budget', async () => {
	const reborn = await run({ 'budget.max-requests': 2 }, '-d', '--name', 'reborn', '--restart', 'on-failure:1', '--rootfs', rootfs, '/call', '2', '/etc/may-end');
	assert.equal(reborn.code, 0, reborn.stderr);
	await until(async () => (await host.mock.bill()).requests === 1, 'its first call');
	const executed = await podman('exec', 'reborn', '/call', '1');
	assert.equal(executed.stdout, '200\n', executed.stderr);
	assert.equal((await host.status()).agents.length, 1);
	fs.writeFileSync(path.join(rootfs, 'etc/may-end'), '');
	const answers = await until(async () => {
		const { stdout } = await podman('logs', 'reborn');
		return stdout.split('\n').length === 5 && stdout;
	}, 'its second life');
	assert.equal(answers, '200\n402\n402\n402\n');
	assert.equal((await host.mock.bill()).requests, 2);
	await podman('rm', '-f', 'reborn');
	await host.empty();
});

test('containerd: its client with our runtime', async () => {
	const ctr = (...args) => start('ctr', ['-a', path.join(host.folder, 'containerd.sock'), ...args]).done;
	const begin = (labels, flag, ...command) => ctr('run', flag, '--cpu-shares', '0', '--net-host', '--runc-binary', runtime, '--cgroup', `${process.env.SPENDGATE_CGROUP_PARENT}/ctr`, ...annotations(labels), '--rootfs', rootfs, ...command);
	const { stdout, stderr } = await begin({ agent: 'ctr', 'budget.max-requests': 1 }, '--rm', 'once', '/call', '2');
	assert.equal(stdout, '200\n402\n', stderr);
	await host.empty();
	const bad = await begin({ 'budget.max-requests': 'two' }, '--rm', 'never', '/call', '1');
	assert.notEqual(bad.code, 0);
	assert.match(bad.stderr, refusal);

	const lasting = await begin({ agent: 'lasting', 'budget.max-requests': 1 }, '--detach', 'lasting', '/call', '1', '/etc/never');
	assert.equal(lasting.code, 0, lasting.stderr);
	const executed = await ctr('task', 'exec', '--exec-id', 'second', 'lasting', '/call', '2');
	assert.equal(executed.stdout, '200\n402\n', executed.stderr);
	assert.equal((await host.mock.bill()).requests, 2);
	await ctr('task', 'rm', '--force', 'lasting');
	await ctr('container', 'rm', 'lasting');
	await host.empty();
});
