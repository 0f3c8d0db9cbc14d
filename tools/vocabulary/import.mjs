#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Draws the vocabularies from the npm package "tiktoken", and the classes of code points from the Unicode that this node knows, into
// user/tokens/*.zst. Run once for a new version of either:
//
//   tools/vocabulary/import.mjs tests/e2e/node_modules/tiktoken user/tokens
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// Tokens by rank, each behind a byte that tells its length.
export function vocabulary(folder, name) {
	const { bpe_ranks: ranks } = JSON.parse(fs.readFileSync(path.join(folder, 'encoders', `${name}.json`)));
	const parts = [];
	let next = 0;
	for (const line of ranks.split('\n')) {
		const [mark, first, ...tokens] = line.split(' ');
		if (mark !== '!' || Number(first) !== next) throw new Error(`${name}: rank ${first} in place of ${next}`);
		for (const token of tokens) {
			const bytes = Buffer.from(token, 'base64');
			if (!bytes.length || bytes.length > 255) throw new Error(`${name}: a token of ${bytes.length} bytes`);
			parts.push(Buffer.from([bytes.length]), bytes);
			next++;
		}
	}
	return Buffer.concat(parts);
}

// The order of enum sg_text_class. White_Space comes first: no class of letters has any of it.
const CLASSES = [
	[7, /^[\r\n]$/u],
	[6, /^\p{White_Space}$/u],
	[1, /^[\p{Lu}\p{Lt}]$/u],
	[2, /^\p{Ll}$/u],
	[3, /^[\p{Lm}\p{Lo}]$/u],
	[4, /^\p{M}$/u],
	[5, /^\p{N}$/u],
];

export function classes() {
	const runs = [];
	let last = -1;
	for (let code = 0; code < 0x110000; code++) {
		const isSurrogate = code >= 0xd800 && code < 0xe000;
		const [kind] = (!isSurrogate && CLASSES.find(([, pattern]) => pattern.test(String.fromCodePoint(code)))) || [0];
		if (kind === last) continue;
		const run = Buffer.alloc(5);
		run.writeUInt32LE(code);
		run[4] = last = kind;
		runs.push(run);
	}
	return Buffer.concat(runs);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
	const [folder, out] = process.argv.slice(2);
	const write = (name, bytes) => fs.writeFileSync(path.join(out, `${name}.zst`), execFileSync('zstd', ['--ultra', '-22', `--stream-size=${bytes.length}`, '-c'], { input: bytes, maxBuffer: 1 << 26, stdio: ['pipe', 'pipe', 'inherit'] }));
	for (const name of ['o200k_base', 'cl100k_base']) write(name, vocabulary(folder, name));
	write('classes', classes());
}
