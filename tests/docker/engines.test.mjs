// SPDX-License-Identifier: Apache-2.0
// Other ways to start a container: compose, podman, containerd's own client.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Host, PROVIDER, build, root, start } from './lib.mjs';

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
	const says = async (name) => (await host.client('wait', `fleet_${name}_1`), host.docker('logs', `fleet_${name}_1`).split('\n'));
	assert.deepEqual([await says('writer'), await says('critic')], [['200', '200', '402'], ['200', '402', '402']]);
	assert.equal((await host.mock.bill()).requests, 3);
	for (const name of ['fleet-writer-1', 'fleet-critic-1']) await host.logged(new RegExp(`event=agent_registered agent=${name} `));
	assert.doesNotMatch(host.log(), /agent=fleet-database/);
	await compose('down', '-t', '0');
	await host.empty();
});

test('podman: annotations are labels', async () => {
	const folder = path.join(scratch, 'podman');
	const podman = ['--root', `${folder}/root`, '--runroot', `${folder}/run`, '--tmpdir', `${folder}/tmp`, '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', '--runtime', runtime];
	const run = (...more) => start('podman', [...podman, 'run', '--rm', '--network', 'host', '--log-driver', 'k8s-file', '--cgroup-parent', process.env.SPENDGATE_CGROUP_PARENT, '--no-hosts', '--pids-limit', '0', ...more]).done;
	const { code, stdout, stderr } = await run('--annotation', 'spendgate.agent=pod', '--annotation', 'spendgate.budget.max-requests=1', '--rootfs', rootfs, '/call', '2');
	assert.equal(stdout, '200\n402\n', `${code} ${stderr}`);
	assert.equal((await host.mock.bill()).requests, 1);

	// It hands on those of an image, which may tighten and no more.
	fs.writeFileSync(path.join(folder, 'Containerfile'), 'FROM scratch\nCOPY . /\n');
	execFileSync('podman', [...podman, 'build', '-q', '--annotation', 'spendgate.agent=somebody', '-t', 'chooses', '-f', path.join(folder, 'Containerfile'), rootfs]);
	const chosen = await run('chooses', '/call', '1');
	assert.notEqual(chosen.code, 0);
	assert.equal(chosen.stdout, '');
	await host.logged(/event=registration_refused .*label spendgate\.agent .*somebody.* is the image's own/);
	const given = await run('--annotation', 'spendgate.agent=given', '--annotation', 'spendgate.budget.max-requests=1', '-v', '/etc/hosts:/etc/hosts', 'chooses', '/call', '2');
	assert.equal(given.stdout, '200\n402\n', given.stderr);
	await host.empty();
});

test('containerd: its client with our runtime', async () => {
	const { code, stdout, stderr } = await start('ctr', ['-a', path.join(host.folder, 'containerd.sock'), 'run', '--rm', '--cpu-shares', '0', '--net-host', '--runc-binary', runtime, '--cgroup', `${process.env.SPENDGATE_CGROUP_PARENT}/ctr`,
		'--annotation', 'spendgate.agent=ctr', '--annotation', 'spendgate.budget.max-requests=1', '--rootfs', rootfs, 'ctr-agent', '/call', '2']).done;
	assert.equal(stdout, '200\n402\n', `${code} ${stderr}`);
	assert.equal((await host.mock.bill()).requests, 1);
	await host.empty();
});
