// SPDX-License-Identifier: Apache-2.0
// Sends chat completions whose bodies are compressed: [{coding, body, times, random}...]. Says the status and the text of each
// answer. The first message is repeated so many times; so many random bytes are in the metadata, in hexadecimal.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import https from 'node:https';
import zlib from 'node:zlib';

const CODINGS = {
	gzip: zlib.gzipSync,
	deflate: zlib.deflateSync,
	br: zlib.brotliCompressSync,
	zstd: (bytes) => execFileSync('zstd', ['-c', '-q'], { input: bytes }),
};

function send({ coding, body, times = 1, random = 0 }) {
	body.messages[0].content = body.messages[0].content.repeat(times);
	if (random) body.metadata = { filler: randomBytes(random).toString('hex') };
	const bytes = CODINGS[coding](Buffer.from(JSON.stringify(body)));
	const headers = { host: 'api.openai.com', 'content-type': 'application/json', authorization: 'Bearer test-key', 'content-encoding': coding, 'content-length': bytes.length };
	return new Promise((resolve, reject) => {
		const request = https.request({ method: 'POST', host: 'api.openai.com', path: '/v1/chat/completions', headers }, (response) => {
			let text = '';
			response.on('data', (part) => (text += part));
			response.on('end', () => resolve({ status: response.statusCode, text }));
		});
		request.on('error', reject);
		request.end(bytes);
	});
}

const results = [];
for (const order of JSON.parse(process.argv[2])) results.push(await send(order));
console.log(JSON.stringify(results));
