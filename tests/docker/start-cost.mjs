// SPDX-License-Identifier: Apache-2.0
// What spendgate-runc adds to the start of a container: `sandbox.sh node start-cost.mjs [ROUNDS]`. One bundle with Python, Node, Java and their
// certificates, run to its end by runc, and by spendgate-runc without and with a label, in turns; prints milliseconds. Bundle and run directory are
// below /run, in memory, as those of engines are.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { Gate, build, startMock } from '../e2e/lib.mjs';

const rounds = Number(process.argv[2] ?? 40);
const scratch = process.env.SPENDGATE_SCRATCH;
const bundle = '/run/bundle', rootfs = path.join(scratch, 'rootfs');
const mock = await startMock();
const gate = new Gate(mock, { SPENDGATE_RUN_DIR: '/run/spendgate' });
await gate.daemon({ upstream_ca: mock.ca });

fs.mkdirSync(bundle);
fs.mkdirSync(rootfs);
execFileSync('tar', ['-C', rootfs, '-xf', path.join(process.env.SPENDGATE_IMAGES, 'agents.tar')]);
execFileSync('runc', ['spec'], { cwd: bundle });
const spec = JSON.parse(fs.readFileSync(path.join(bundle, 'config.json')));
spec.process.args = ['true'];
spec.process.terminal = false;
spec.root.path = rootfs;

const shim = [path.join(build, 'spendgate-runc'), `--spendgate-run-dir=${gate.env.SPENDGATE_RUN_DIR}`];
const ways = {
	runc: { command: ['runc'], annotations: {} },
	'spendgate-runc, no label': { command: shim, annotations: {} },
	'spendgate-runc, an agent': { command: shim, annotations: { 'spendgate.agent': 'cost', 'spendgate.budget.max-requests': '1' } },
};
const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = -1; round < rounds; round++)
	for (const [name, { command, annotations }] of Object.entries(ways)) {
		fs.writeFileSync(path.join(bundle, 'config.json'), JSON.stringify({ ...spec, annotations }));
		const before = process.hrtime.bigint();
		execFileSync(command[0], [...command.slice(1), '--root', '/run/runc', 'run', '--bundle', bundle, `cost-${round + 1}`]);
		if (round >= 0) times[name].push(Number(process.hrtime.bigint() - before) / 1e6); // the first one warms up
	}
const at = (list, part) => list.sort((a, b) => a - b)[Math.floor((list.length - 1) * part)];
const base = at(times.runc, 0.5);
for (const [name, list] of Object.entries(times))
	console.log(`${name.padEnd(26)} median ${at(list, 0.5).toFixed(1)} ms (${(at(list, 0.5) - base).toFixed(1)} more), 90th ${at(list, 0.9).toFixed(1)} ms, of ${list.length}`);
await gate.stop();
await mock.stop();
