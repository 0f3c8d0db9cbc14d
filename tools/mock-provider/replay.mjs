// SPDX-License-Identifier: Apache-2.0
// Recorded exchanges (docs/exchange-format.md), answered byte by byte as they were recorded. A request says which one it is
// with the header x-exchange.
import fs from 'node:fs';
import path from 'node:path';

export const NAME_HEADER = 'x-exchange';

export function readExchange(folder, name) {
	if (!/^[a-z0-9-]+$/.test(name)) throw new Error(`no exchange: ${name}`);
	return JSON.parse(fs.readFileSync(path.join(folder, `${name}.json`)));
}

// Of exchanges to the same path the one that streams as the request does.
export function matchExchange(exchanges, request, body) {
	const same = exchanges.filter(({ request: recorded }) => recorded.host === request.headers.host && recorded.path === request.url.replace(/\?$/, '') && recorded.method === request.method);
	return same.find(({ request: recorded }) => !!recorded.body?.stream === !!body?.stream) ?? same[0];
}

// The bytes of a request's or an answer's body.
export function bodyOf(side) {
	if (side.body_base64 !== undefined) return Buffer.from(side.body_base64, 'base64');
	const text = (side.sse ?? side.ndjson)?.join('') ?? side.body_text;
	if (text !== undefined) return Buffer.from(text);
	return side.body === undefined || side.body === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(side.body));
}

export function replay(response, { response: recorded }) {
	const body = bodyOf(recorded);
	const { 'transfer-encoding': _, 'content-length': __, connection: ___, ...headers } = recorded.headers;
	let at = 0;
	response.writeHead(recorded.status, headers);
	for (const size of recorded.chunk_sizes ?? [body.length]) {
		response.write(body.subarray(at, at + size));
		at += size;
	}
	response.end(body.subarray(at));
}
