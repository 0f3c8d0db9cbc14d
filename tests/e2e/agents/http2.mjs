// SPDX-License-Identifier: Apache-2.0
// An agent that speaks HTTP/2 only, all its calls on one connection. The calls come as JSON on the command line, what
// it saw of each goes out as JSON; `rank` is the order in which they ended.
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';

const { origin, calls, parallel = calls.length, alone = 0, settings } = JSON.parse(process.argv[2]);
const session = http2.connect(origin, { settings });
const events = [];
let finished = 0;
session.on('error', (error) => events.push(`error ${error.code}`));
session.on('goaway', (code) => events.push(`goaway ${code}`));

const defaults = { 'content-type': 'application/json', authorization: 'Bearer planted' };

const plain = ({ fill, raw, body }) => (fill ? Buffer.alloc(fill, 'x') : Buffer.from(raw ?? (body ? JSON.stringify(body) : '')));
const bodyOf = ({ gzip, random, ...rest }) => {
	if (random) rest.body.metadata = { filler: randomBytes(random).toString('hex') };
	return gzip ? gzipSync(plain(rest)) : plain(rest);
};

// random: so many bytes in the metadata, in hexadecimal; abortAfter: reset the stream at that chunk; pauseMs: read nothing for a while; hold: never end the request.
function one({ method = 'POST', path, headers = {}, abortAfter, pauseMs, hold, ...rest }) {
	return new Promise((resolve) => {
		const seen = { status: null, headers: null, interim: [], trailers: null, chunks: 0, error: null };
		const parts = [];
		const sent = bodyOf(rest);
		const stream = session.request({ ':method': method, ':path': path, ...defaults, ...headers }, { endStream: !sent.length && !hold });
		stream.on('headers', (fields) => seen.interim.push(fields[':status']));
		stream.on('response', (fields) => Object.assign(seen, { status: fields[':status'], headers: { ...fields } }));
		stream.on('trailers', (fields) => (seen.trailers = { ...fields }));
		stream.on('data', (data) => {
			parts.push(data);
			seen.chunks++;
			if (seen.chunks === abortAfter) stream.close(http2.constants.NGHTTP2_CANCEL);
			if (pauseMs && seen.chunks === 1) {
				stream.pause();
				setTimeout(() => stream.resume(), pauseMs);
			}
		});
		stream.on('error', (error) => (seen.error = error.code));
		stream.on('close', () => resolve({ ...seen, rank: finished++, body: Buffer.concat(parts).toString('latin1'), reset: stream.rstCode }));
		if (sent.length && hold) stream.write(sent);
		else if (sent.length) stream.end(sent);
	});
}

const results = [];
const queue = calls.map((call, index) => [call, index]);
for (const [call, index] of queue.splice(0, alone)) results[index] = await one(call);
await Promise.all(Array.from({ length: parallel }, async () => {
	while (queue.length) {
		const [call, index] = queue.shift();
		if (call.waitMs) await new Promise((resolve) => setTimeout(resolve, call.waitMs));
		results[index] = await one(call);
	}
}));
session.close();
console.log(JSON.stringify({ results, events, protocol: session.alpnProtocol }));
