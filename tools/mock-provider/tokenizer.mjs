// SPDX-License-Identifier: Apache-2.0
// What OpenAI's models say and count. By itself the mock says words and counts four bytes a token; with --tokenizer it says and bills
// the tokens of tiktoken, which it finds among the packages of that folder.
import { createRequire } from 'node:module';
import path from 'node:path';

import { countTokens, number } from './orders.mjs';

const PROSE = `The quick brown fox doesn't jump over 1234567 lazy dogs.\n\n\tif (count != 0) { return -1; } // HTTPServer\n
Füße, naïve façade, Ελληνικά, Привет, мир! 日本語のテキストです。안녕하세요 세계, नमस्ते, สวัสดี, 👩‍👩‍👧 🇩🇪 {"key": [1.5, null], "url": "https://example.com/a?b=c"}\r\n  - `;

let tiktoken;
const encodings = {};

export function useTokenizer(folder) {
	tiktoken = createRequire(path.resolve(folder, 'package.json'))('tiktoken');
}

function encodingOf(model) {
	const name = /^gpt-(4o|4\.1|4\.5|5)|^o\d/.test(model) ? 'o200k_base' : 'cl100k_base';
	return (encodings[name] ??= tiktoken.get_encoding(name));
}

const textOf = (content) => (typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join(''));

// By the rule that the provider has published: three for each message and three for the answer, beside the texts.
export function inputTokens(model, messages) {
	if (!tiktoken) return countTokens(JSON.stringify(messages));
	const list = typeof messages === 'string' ? [{ role: 'user', content: messages }] : messages;
	const count = (text) => encodingOf(model).encode(text, [], []).length;
	return list.reduce((sum, { role, content }) => sum + 3 + count(role) + count(textOf(content)), 3);
}

function* words(count) {
	for (let i = 0; i < count; i++) yield { text: i % 10 === 9 ? 'é\n' : 'tok ', tokens: 1 };
}

// Pieces of `per` tokens, or of more, where these are no whole code points.
function* prose(model, count, per) {
	const encoding = encodingOf(model);
	const all = encoding.encode(PROSE, [], []);
	let bytes = Buffer.alloc(0);
	let tokens = 0;
	for (let i = 0; i < count; i++) {
		bytes = Buffer.concat([bytes, encoding.decode_single_token_bytes(all[i % all.length])]);
		tokens++;
		const text = bytes.toString();
		if (i + 1 < count && (tokens < per || text.endsWith('\ufffd'))) continue;
		yield { text, tokens };
		bytes = Buffer.alloc(0);
		tokens = 0;
	}
}

export function say(model, count, orders) {
	return tiktoken ? prose(model, count, number(orders, 'per', 1)) : words(count);
}

export function sayAll(model, count) {
	if (!tiktoken) return [...words(count)].map(({ text }) => text).join('');
	const encoding = encodingOf(model);
	const all = encoding.encode(PROSE, [], []);
	return Buffer.from(encoding.decode(Uint32Array.from({ length: count }, (_, i) => all[i % all.length]))).toString();
}
