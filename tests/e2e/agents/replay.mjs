// SPDX-License-Identifier: Apache-2.0
// Sends requests as they were recorded, one after the other on a connection that is kept, and says exactly which bytes came back.
import https from 'node:https';

const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });

function send({ name, method, host, path, headers, body }) {
	const bytes = Buffer.from(body, 'base64');
	const sent = { ...headers, host, 'x-exchange': name };
	if (bytes.length) sent['content-length'] = bytes.length;
	return new Promise((resolve, reject) => {
		const request = https.request({ agent, method, host, path, headers: sent }, (response) => {
			const parts = [];
			response.on('data', (part) => parts.push(part));
			response.on('end', () => resolve({ name, status: response.statusCode, body: Buffer.concat(parts).toString('base64') }));
			response.on('error', reject);
		});
		request.on('error', reject);
		request.end(bytes);
	});
}

let text = '';
for await (const part of process.stdin) text += part;
const results = [];
for (const request of JSON.parse(text)) results.push(await send(request));
console.log(JSON.stringify(results));
agent.destroy();
