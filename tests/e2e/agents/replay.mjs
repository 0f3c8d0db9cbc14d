// SPDX-License-Identifier: Apache-2.0
// Sends requests as they were recorded, one after the other on a connection that is kept, and says exactly which bytes came back.
// The argument is the protocol, http1 or http2.
import http2 from 'node:http2';
import https from 'node:https';

const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
let session;

function read(response, name, status, resolve, reject) {
	const parts = [];
	response.on('data', (part) => parts.push(part));
	response.on('end', () => resolve({ name, status: status(), body: Buffer.concat(parts).toString('base64') }));
	response.on('error', reject);
}

function send({ name, method, host, path, headers, body }) {
	const bytes = Buffer.from(body, 'base64');
	const sent = { ...headers, host, 'x-exchange': name };
	for (const field of Object.keys(sent)) if (field.startsWith(':')) delete sent[field];
	if (bytes.length) sent['content-length'] = bytes.length;
	return new Promise((resolve, reject) => {
		const request = https.request({ agent, method, host, path, headers: sent }, (response) => read(response, name, () => response.statusCode, resolve, reject));
		request.on('error', reject);
		request.end(bytes);
	});
}

// No Content-Length: the body ends with its stream.
function sendHttp2({ name, method, host, path, headers, body }) {
	const sent = { ...headers, 'x-exchange': name };
	for (const field of Object.keys(sent)) if (field.startsWith(':') || ['connection', 'transfer-encoding', 'host', 'content-length'].includes(field.toLowerCase())) delete sent[field];
	session ??= http2.connect(`https://${host}`);
	return new Promise((resolve, reject) => {
		let status;
		const request = session.request({ ...sent, ':method': method, ':path': path, ':authority': host }, { endStream: !body });
		request.on('response', (fields) => (status = fields[':status']));
		read(request, name, () => status, resolve, reject);
		if (body) request.end(Buffer.from(body, 'base64'));
	});
}

let text = '';
for await (const part of process.stdin) text += part;
const results = [];
for (const request of JSON.parse(text)) results.push(await (process.argv[2] === 'http2' ? sendHttp2 : send)(request));
console.log(JSON.stringify(results));
agent.destroy();
session?.close();
