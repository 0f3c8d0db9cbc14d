// SPDX-License-Identifier: Apache-2.0
// Tokens as OpenAI's models count them: the same as tiktoken's, which we did not write, over a corpus and over random text.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { get_encoding } from 'tiktoken';

import { classes, vocabulary } from '../../tools/vocabulary/import.mjs';
import { build, root, scratch, start } from './lib.mjs';

const NAMES = ['o200k_base', 'cl100k_base'];

// A seed that is printed gives the same texts again.
const seed = Number(process.env.SPENDGATE_SEED ?? Date.now() % 1e9);
let state = seed;
const below = (n) => {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return Math.floor((state / 2 ** 32) * n);
};
const times = (n, make) => Array.from({ length: n }, make);

const ALPHABETS = ['aAbB\'sStTrReE ', 'é日本語あアｶÄßſ\u0301 ', '  \n\r\t\u00a0\u3000\u0085\ufeff x', '0123456789٣Ⅷ½ a', '!?/#<>=- \n/', '😀👩‍👩‍👧🏽🇩🇪 ',
	'ǅǈЖжწᲬ한글ไทยहिन्दी ', "'lLvVeErR dDmMs\u017f", 'a', ' ', 'A', '中', '\n ', '한'].map((letters) => [...letters]);

function mixed() {
	const letters = [...ALPHABETS[below(ALPHABETS.length)], ...(below(2) ? ALPHABETS[below(ALPHABETS.length)] : [])];
	return times(below(200), () => letters[below(letters.length)]).join('');
}

// Of code points that every Unicode of the last years has in the same class, most of all.
function anything() {
	return times(below(60), () => String.fromCodePoint(below(3) ? below(0x3000) : below(0xd800))).join('');
}

const corpus = () => ['user/provider/price_cost.c', 'docs/budgets.md', 'tools/mock-provider/server.mjs', 'user/provider/prices.json', 'tests/e2e/package-lock.json']
	.map((file) => fs.readFileSync(path.join(root, file), 'utf8'));

test('tokens: as many as tiktoken counts', async () => {
	console.log(`texts of seed ${seed}`);
	// Many small ones as lines of one file would be one text: each has its own.
	const texts = [...corpus(), ...times(1500, mixed), ...times(1500, anything)];
	const files = texts.map((text, i) => {
		const file = path.join(scratch, `text-${i}`);
		fs.writeFileSync(file, text);
		return file;
	});
	for (const name of NAMES) {
		const encoding = get_encoding(name);
		const { stdout, code } = await start(path.join(build, 'spendgate'), ['tokens', '--model', name, ...files]).done;
		assert.equal(code, 0);
		const counts = stdout.trim().split('\n').map((line) => Number(line.split(' ')[0]));
		assert.equal(counts.length, texts.length);
		counts.forEach((count, i) => assert.equal(count, encoding.encode(texts[i], [], []).length, `${name}, seed ${seed}: ${JSON.stringify(texts[i].slice(0, 300))}`));
		encoding.free();
	}
});

test('tokens: the vocabularies that are built in are those of the package', () => {
	const ours = (name) => execFileSync('zstd', ['-dc', path.join(root, 'user/tokens', `${name}.zst`)], { maxBuffer: 1 << 24 });
	for (const name of NAMES) assert.ok(ours(name).equals(vocabulary(path.join(root, 'tests/e2e/node_modules/tiktoken'), name)), name);
	// Unicode adds code points with each version; those of ASCII and Latin stay what they are.
	assert.ok(ours('classes').subarray(0, 500).equals(classes().subarray(0, 500)));
});

test('tokens: an unknown model is told', async () => {
	const unknown = await start(path.join(build, 'spendgate'), ['tokens', '--model', 'claude-opus-5']).done;
	assert.equal(unknown.code, 65);
	assert.match(unknown.stderr, /no vocabulary is known for model "claude-opus-5"/);
});
