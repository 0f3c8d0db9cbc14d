// SPDX-License-Identifier: Apache-2.0
// spendgated as a service: what its processes may do.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';

import { Gate, startMock, until } from './lib.mjs';

let mock;
before(async () => (mock = await startMock()));
after(() => mock.stop());

const statusOf = (pid, task = pid) => Object.fromEntries(fs.readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').split('\n').map((line) => line.split(/:\s*/)));
const enforcerOf = (gate) => Number([...gate.running.stderr.matchAll(/enforcer_ready pid=(\d+)/g)].at(-1)?.[1]);

test('the enforcer has no capability and is in its sandbox, every thread; the warden has what it needs', async () => {
	const gate = new Gate(mock);
	await gate.daemon({ workers: 3 });
	const enforcer = enforcerOf(gate);
	await until(() => gate.running.stderr.includes('event=started workers=3'), 'the workers');
	const threads = fs.readdirSync(`/proc/${enforcer}/task`);
	assert.ok(threads.length >= 5, `${threads.length} threads`); // main, ledger writer, workers
	for (const thread of threads) {
		const { Seccomp, NoNewPrivs, CapEff, CapPrm, CapBnd, CapAmb, Uid } = statusOf(enforcer, thread);
		assert.deepEqual({ Seccomp, NoNewPrivs, caps: [CapEff, CapPrm, CapBnd, CapAmb] }, { Seccomp: '2', NoNewPrivs: '1', caps: Array(4).fill('0000000000000000') });
		assert.doesNotMatch(Uid, /^0\t/);
	}
	// CHOWN 0, DAC_OVERRIDE 1, DAC_READ_SEARCH 2, FOWNER 3, KILL 5, SETGID 6, SETUID 7, SETPCAP 8, NET_ADMIN 12, SYS_PTRACE 19, SYS_ADMIN 21, BPF 39
	const mask = [0, 1, 2, 3, 5, 6, 7, 8, 12, 19, 21, 39].reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n).toString(16).padStart(16, '0');
	const warden = statusOf(gate.running.child.pid);
	assert.deepEqual([warden.CapEff, warden.CapPrm, warden.CapBnd], Array(3).fill(mask));
	await gate.stop();
});

test('an enforcer that its sandbox ends is told in the log, and started again', async () => {
	const gate = new Gate(mock);
	await gate.daemon();
	const first = enforcerOf(gate);
	process.kill(first, 'SIGSYS'); // as the kernel does
	await until(() => enforcerOf(gate) !== first, 'another enforcer');
	assert.match(gate.running.stderr, new RegExp(`event=enforcer_ended pid=${first} signal=31 reason="it made a system call that its sandbox forbids"`));
	await gate.stop();
});
