#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A mock of the OpenAI and Anthropic APIs over TLS, with a bill of its own.
//
//   server.mjs --dir DIR [--address 127.0.0.1] [--port 0] [--plain-port N] [--control-port 0] [--replay EXCHANGE.json]
//             [--exchanges FOLDER] [--answer NAME]... [--host NAME]... [--tokenizer FOLDER] [--http2 both | only] [--streams N]
//
// --http2: TLS offers HTTP/2 beside HTTP/1.1, or alone, and the plain port speaks nothing else (http2.mjs); --streams: so many calls
// at a time on one such connection.
// --exchanges: requests that name one (replay.mjs) get its recorded answer. --answer: so do
// requests to that exchange's own host and path. --host: one more name for the certificate. --tokenizer: tokenizer.mjs.
//
// Makes a CA and a leaf in DIR (ca.pem, leaf.pem, leaf.key) with openssl. Prints one JSON line when ready. The control port speaks
// plain HTTP on the same address: GET /bill, POST /reset, POST /faults (a JSON object of orders, see orders.mjs).
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { parseArgs } from 'node:util';
import zlib from 'node:zlib';

import * as anthropic from './anthropic.mjs';
import { Bill } from './bill.mjs';
import * as dialects from './dialects.mjs';
import * as http2 from './http2.mjs';
import * as openai from './openai.mjs';
import { number, readOrders, sleep } from './orders.mjs';
import { serveUpgrade } from './sessions.mjs';
import { useTokenizer } from './tokenizer.mjs';
import { matchExchange, NAME_HEADER, readExchange, replay } from './replay.mjs';

const { values: options } = parseArgs({
	options: {
		dir: { type: 'string' },
		address: { type: 'string', default: '127.0.0.1' },
		port: { type: 'string', default: '0' },
		'plain-port': { type: 'string' },
		'control-port': { type: 'string', default: '0' },
		replay: { type: 'string' },
		exchanges: { type: 'string' },
		answer: { type: 'string', multiple: true, default: [] },
		host: { type: 'string', multiple: true, default: [] },
		tokenizer: { type: 'string' },
		http2: { type: 'string' },
		streams: { type: 'string' },
	},
});

const HOSTS = ['api.openai.com', 'eu.api.openai.com', 'api.anthropic.com', ...options.host];
const isRegional = (request) => request.headers.host?.startsWith('eu.') ?? false;
const bill = new Bill();
const recorded = options.answer.map((name) => readExchange(options.exchanges, name));
let faults = {};
if (options.tokenizer) useTokenizer(options.tokenizer);

const chat = { make: openai.chat, text: openai.chatText, error: openai.error };
const APIS = {
	'/v1/chat/completions': chat,
	'/openai/v1/chat/completions': chat,
	'/api/v1/chat/completions': chat,
	'/v2/chat': dialects.cohere,
	'/api/chat': dialects.ollama,
	'/v1/responses': { make: openai.responses, text: openai.responsesText, error: openai.error },
	'/v1/messages': { make: anthropic.messages, text: anthropic.messagesText, error: anthropic.error },
};

function makeCertificates(dir) {
	const run = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
	fs.mkdirSync(dir, { recursive: true });
	fs.writeFileSync(path.join(dir, 'leaf.ext'), `subjectAltName=${HOSTS.map((host) => `DNS:${host}`).join(',')}\n`);
	run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=mock provider CA');
	run('req', ...key, '-keyout', 'leaf.key', '-out', 'leaf.csr', '-subj', `/CN=${HOSTS[0]}`);
	run('x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'leaf.pem', '-days', '2', '-extfile', 'leaf.ext');
}

async function readBody(request) {
	const parts = [];
	for await (const part of request) parts.push(part);
	const raw = Buffer.concat(parts);
	return request.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(raw) : raw;
}

function sendJson(response, status, object, headers = {}) {
	const text = Buffer.from(JSON.stringify(object));
	response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length, 'x-request-id': 'req_mock', ...headers });
	response.end(text);
}

// A fault with `times` is used up.
function takeFaults() {
	const taken = { ...faults };
	if (faults.times !== undefined && --faults.times <= 0) faults = {};
	delete taken.times;
	return taken;
}

const LIES = { negative: -100, nan: 'NaN', text: '12', huge: 1e300 };

function lie(usage, fault) {
	const lies = structuredClone(usage);
	for (const key of Object.keys(lies)) if (typeof lies[key] === 'number') lies[key] = LIES[fault];
	return lies;
}

function usageOf(answer, orders) {
	if (orders.fault === 'no-usage') delete answer.body.usage;
	else if (orders.fault in LIES) answer.setUsage(answer.body, lie(answer.body.usage, orders.fault));
	return answer.body;
}

async function sendWhole(request, response, answer, orders) {
	const text = Buffer.from(JSON.stringify(usageOf(answer, orders)));
	bill.add(answer.model, answer.billed, isRegional(request));
	if (orders.fault === 'billed-reset') return request.socket.destroy();
	if (orders.fault === 'interim') http2.isHttp2(request) ? request.stream.additionalHeaders({ ':status': 102 }) : response.writeProcessing();
	if (orders.fault === 'trailers') {
		response.writeHead(200, { 'content-type': 'application/json', trailer: 'x-checksum' });
		response.write(text);
		response.addTrailers({ 'x-checksum': 'of-the-answer' });
		return response.end();
	}
	const headers = { 'content-type': 'application/json', 'x-request-id': 'req_mock' };
	if (orders.fault === 'close') headers.connection = 'close';
	if (orders.fault === 'untilclose' && !http2.isHttp2(request)) {
		request.socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n');
		return request.socket.end(text);
	}
	if (orders.fault === 'gzip' || (orders.gzip && /gzip/.test(request.headers['accept-encoding'] ?? ''))) {
		response.writeHead(200, { ...headers, 'content-encoding': 'gzip' });
		return response.end(zlib.gzipSync(text));
	}
	if (orders.fault === 'cut') {
		response.writeHead(200, { ...headers, 'content-length': text.length });
		return response.write(text.subarray(0, text.length >> 1), () => request.socket.destroy());
	}
	if (orders.fault === 'slowloris') {
		response.writeHead(200, headers);
		for (const byte of text) {
			response.write(Buffer.of(byte));
			await sleep(0);
		}
		return response.end();
	}
	response.writeHead(200, { ...headers, 'content-length': text.length });
	response.end(text);
}

// Bills what was generated: all of it, or the tokens until the client was seen to be gone.
async function sendStream(request, response, answer, orders, contentType = 'text/event-stream; charset=utf-8') {
	const delay = number(orders, 'delay', 0);
	let gone = false;
	let tokens = 0;
	response.on('close', () => (gone = !response.writableFinished));
	response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache', 'x-request-id': 'req_mock' });
	const events = orders.fault === 'endless' ? endless(answer) : answer.events();
	for (const event of events) {
		if (gone) break;
		if (event.usage && orders.fault === 'no-usage') continue;
		tokens += event.tokens;
		if (['reset-midway', 'cut', 'break'].includes(orders.fault) && tokens >= 3) {
			bill.add(answer.model, { ...answer.billed, output: tokens }, isRegional(request));
			return response.write(event.text, () => (orders.fault === 'break' ? http2.breakConnection(request) : request.socket.destroy()));
		}
		if (!response.write(event.text)) await Promise.race([new Promise((resolve) => response.once('drain', resolve)), new Promise((resolve) => response.once('close', resolve))]);
		if (event.tokens && (delay || orders.fault === 'endless')) await sleep(delay);
	}
	bill.add(answer.model, { ...answer.billed, output: gone ? tokens : answer.billed.output }, isRegional(request));
	response.end();
}

// Whatever limit the call has: until the client leaves.
function* endless(answer) {
	const [first, ...rest] = answer.events();
	const word = rest.find((event) => event.tokens);
	yield first;
	for (;;) yield word;
}

const apiOf = (path) => APIS[path] ?? (/:(stream)?[gG]enerateContent$/.test(path) ? dialects.gemini : null);

async function serveCall(request, response, api, path) {
	const raw = await readBody(request);
	let body;
	try {
		body = JSON.parse(raw);
	} catch {
		return sendJson(response, 400, api.error(400, 'not JSON'));
	}
	const orders = readOrders(api.text(body), takeFaults());
	bill.seen.push({ path: request.url, stream: !!body.stream, stream_options: body.stream_options, retry: request.headers['x-stainless-retry-count'] });
	if (orders.head) await sleep(Number(orders.head));
	if (orders.fault === 'reset') return request.socket.destroy();
	if (http2.refuses(request, orders)) return;
	if (orders.status) return sendJson(response, Number(orders.status), api.error(Number(orders.status), 'as ordered'));
	const answer = api.make(body, orders, path, request.headers.host);
	const streams = api.streams ? api.streams(body, path) : body.stream;
	return streams ? sendStream(request, response, answer, orders, api.contentType) : sendWhole(request, response, answer, orders);
}

// Says no before the body is there, as servers do that have seen enough; `close`: and takes no more of it.
function refuseEarly(response) {
	const { status = 413, close } = takeFaults();
	sendJson(response, Number(status), openai.error(Number(status), 'before the body'), close ? { connection: 'close' } : {});
}

async function serve(request, response) {
	request.headers.host ??= request.headers[':authority'];
	const url = new URL(request.url, 'https://mock');
	bill.requests++;
	bill.noteKeys(request);
	try {
		if (faults.fault === 'early') return refuseEarly(response);
		if (options.replay) {
			await readBody(request);
			return replay(response, JSON.parse(fs.readFileSync(options.replay)));
		}
		if (options.exchanges && request.headers[NAME_HEADER]) {
			bill.seen.push({ path: request.url, body: (await readBody(request)).toString('base64') });
			return replay(response, readExchange(options.exchanges, request.headers[NAME_HEADER]));
		}
		const known = recorded.length && matchExchange(recorded, request);
		if (known) {
			await readBody(request);
			return replay(response, known);
		}
		if (request.method === 'POST' && apiOf(url.pathname)) return await serveCall(request, response, apiOf(url.pathname), url.pathname);
		const raw = await readBody(request);
		if (request.method === 'GET' && url.pathname === '/v1/models') return sendJson(response, 200, { object: 'list', data: [{ id: 'gpt-4o', object: 'model', created: 1, owned_by: 'mock' }] });
		if (url.pathname === '/v1/messages/count_tokens' || url.pathname === '/v1/responses/input_tokens') return sendJson(response, 200, { input_tokens: 7 });
		if (url.pathname === '/v1/files') return sendJson(response, 200, { id: 'file-mock', object: 'file', bytes: raw.length, trailers: request.trailers });
		return sendJson(response, 404, openai.error(404, `unknown path ${url.pathname}`));
	} catch {
		request.socket.destroy();
	}
}

async function control(request, response) {
	const body = await readBody(request);
	if (request.method === 'POST' && request.url === '/reset') {
		bill.reset();
		faults = {};
	} else if (request.method === 'POST' && request.url === '/faults') {
		faults = JSON.parse(body);
	} else if (request.url !== '/bill') {
		return sendJson(response, 404, {});
	}
	return sendJson(response, 200, bill.toJSON());
}

const upgrade = (request, socket, head) => serveUpgrade(request, socket, head, { bill, takeFaults, regional: isRegional(request) });

const listen = (server, port) => new Promise((resolve) => server.listen(Number(port), options.address, 4096, () => resolve(server.address().port)));

makeCertificates(options.dir);
const tls = { key: fs.readFileSync(path.join(options.dir, 'leaf.key')), cert: fs.readFileSync(path.join(options.dir, 'leaf.pem')) };
const server = options.http2 ? http2.createServer(tls, { only: options.http2 === 'only', streams: options.streams, bill }, serve) : https.createServer({ ...tls, keepAliveTimeout: 60000 }, serve);
server.on('connection', () => bill.connections++);
server.on('upgrade', upgrade);
server.on('secureConnection', (socket) => (bill.resumed += socket.isSessionReused() ? 1 : 0));
server.on('checkContinue', (request, response) => {
	response.writeContinue();
	serve(request, response);
});
const ready = { address: options.address, port: await listen(server, options.port), control_port: await listen(http.createServer(control), options['control-port']), ca: path.resolve(options.dir, 'ca.pem') };
if (options['plain-port'] !== undefined) {
	const plain = options.http2 ? http2.createServer(null, { streams: options.streams, bill }, serve) : http.createServer(serve);
	plain.on('connection', () => bill.connections++);
	plain.on('upgrade', upgrade);
	ready.plain_port = await listen(plain, options['plain-port']);
}
console.log(JSON.stringify(ready));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
