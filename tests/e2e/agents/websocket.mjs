// An agent that has sessions over a WebSocket, by the SDK that the first argument names. The second is what it does, as JSON:
// { turns: [text...], abortAfter, reconnect, ... }. What it saw goes out as JSON.
import { GoogleGenAI, Modality } from '@google/genai';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { ResponsesWS } from 'openai/resources/responses/ws';
import WebSocket from 'ws';

const [kind, json] = process.argv.slice(2);
const orders = JSON.parse(json);
const seen = { events: [], texts: [], usage: [], errors: [], close: null };
const client = new OpenAI({ apiKey: 'sk-planted-secret-key' });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// One promise after another for what comes: a turn that ended, or the session.
let wake = () => {};
const later = () => new Promise((resolve) => (wake = resolve));
let deltas = 0;

function note(event) {
	if (!event.type.endsWith('.delta')) seen.events.push(event.type);
	if (event.type === 'error') seen.budget = event.budget?.name;
	if (event.type === 'response.created') seen.texts.push('');
	if (event.type === 'response.output_text.delta') {
		seen.texts[seen.texts.length - 1] += event.delta;
		deltas++;
	}
	if (event.type === 'response.done' || event.type === 'response.completed') {
		seen.usage.push(event.response.usage);
		wake();
	}
	if (event.type === 'conversation.item.input_audio_transcription.completed') seen.transcript = event.transcript;
}

const fail = (error) => {
	seen.errors.push({ name: error.constructor.name, message: `${error.message}`.slice(0, 400), code: error.error?.code ?? error.error?.error?.code });
	wake();
};
const closed = (code, reason) => {
	seen.close = { code, reason: `${reason}` };
	wake();
};

// Sends turns one after another; each waits for its end, or for that of the session.
async function converse(send, leave) {
	let silent = orders.silent ?? 0; // so many of them are not answered
	for (const text of seen.close ? [] : orders.turns) {
		const ended = later();
		send(text);
		if (orders.together || silent-- > 0) continue;
		if (orders.abortAfter) {
			while (deltas < orders.abortAfter && !seen.close) await sleep(2);
			break;
		}
		await ended;
		if (seen.close || (orders.stopAtError && seen.errors.length)) break;
	}
	while (orders.together && !seen.close && seen.usage.length < orders.turns.length) await later();
	if (!seen.close) leave();
	for (let i = 0; i < 400 && !seen.close; i++) await sleep(10);
}

// One turn in each of many sessions at once, over the bare protocol.
function ask(text) {
	return new Promise((resolve) => {
		const ws = new WebSocket(orders.url, { headers: { authorization: 'Bearer sk-planted-secret-key' } });
		ws.on('open', () => ws.send(text));
		ws.on('message', (data) => {
			note(JSON.parse(data));
			if (/"type":"response.(done|completed)"/.test(data)) ws.close();
		});
		ws.on('unexpected-response', (request, response) => resolve(response.statusCode));
		ws.on('error', () => {});
		ws.on('close', resolve);
	});
}

const agents = {
	async many() {
		seen.codes = await Promise.all(orders.turns.map(ask));
	},

	async realtime() {
		const rt = new OpenAIRealtimeWS({ model: orders.model ?? 'gpt-realtime' }, client);
		rt.on('event', note);
		rt.on('error', fail);
		rt.socket.on('close', closed);
		await new Promise((resolve) => rt.socket.on('open', resolve).on('close', resolve));
		if (orders.session) rt.send({ type: 'session.update', session: orders.session });
		await converse((text) => {
			if (text.startsWith('audio:')) return text.slice(6).split(',').forEach((piece) => rt.send({ type: 'input_audio_buffer.append', audio: Buffer.from(piece).toString('base64') }));
			rt.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } });
			rt.send({ type: 'response.create', response: { max_output_tokens: orders.limit ?? 50 } });
		}, () => (orders.abrupt ? rt.socket.terminate() : rt.close()));
	},

	async responses() {
		const ws = new ResponsesWS(client, orders.reconnect ? { reconnect: { onReconnecting: () => void (seen.reconnects = (seen.reconnects ?? 0) + 1), maxRetries: 3 } } : {});
		ws.on('event', note);
		ws.on('error', fail);
		ws.on('close', closed);
		await ws.ready?.().catch(fail);
		let previous = null;
		ws.on('event', (event) => (previous = event.response?.id ?? previous));
		await converse((input) => ws.send({ type: 'response.create', model: orders.model ?? 'gpt-5', input, max_output_tokens: orders.limit ?? 50, ...(previous && orders.chain ? { previous_response_id: previous } : {}) }), () => (orders.abrupt ? ws.socket.socket?.terminate?.() ?? process.exit(0) : ws.close()));
	},

	async live() {
		const ai = new GoogleGenAI({ apiKey: 'sk-planted-secret-key' });
		const callbacks = {
			onopen: () => {},
			onmessage: (message) => {
				const parts = message.serverContent?.modelTurn?.parts ?? [];
				for (const part of parts) {
					seen.texts[seen.usage.length] = (seen.texts[seen.usage.length] ?? '') + part.text;
					deltas++;
				}
				if (message.usageMetadata) seen.usage.push(message.usageMetadata);
				if (message.serverContent?.turnComplete) wake();
			},
			onerror: (event) => fail(event.error ?? new Error(event.message ?? 'error')),
			onclose: (event) => closed(event.code, event.reason),
		};
		const opened = ai.live.connect({ model: orders.model ?? 'gemini-live-2.5-flash', config: { responseModalities: [Modality.TEXT] }, callbacks });
		const session = await Promise.race([opened, later().then(() => null)]);
		if (session) await converse((text) => session.sendClientContent({ turns: text, turnComplete: true }), () => session.close());
	},

	// The protocol itself: fragments, pings, large messages, and what should not be sent.
	async ws() {
		const ws = new WebSocket(orders.url, { headers: { authorization: 'Bearer sk-planted-secret-key' }, perMessageDeflate: true });
		ws.on('unexpected-response', (request, response) => {
			let body = '';
			response.on('data', (data) => (body += data)).on('end', () => {
				seen.refused = { status: response.statusCode, headers: response.headers, body };
				closed(0, 'refused');
			});
		});
		ws.on('message', (data) => note(JSON.parse(data)));
		ws.on('pong', (data) => {
			seen.pong = `${data}`;
			seen.events.push(`pong: ${data}`);
		});
		ws.on('error', fail);
		ws.on('close', closed);
		await new Promise((resolve) => ws.on('open', resolve).on('close', resolve).on('unexpected-response', resolve).on('error', resolve));
		if (ws.readyState !== WebSocket.OPEN) {
			for (let i = 0; i < 100 && !seen.close; i++) await sleep(10);
			return;
		}
		seen.extensions = ws.extensions;
		ws.ping('are you there');
		if (orders.pingAfterMs) setTimeout(() => ws.ping('still there'), orders.pingAfterMs);
		if (orders.closeAfterMs) setTimeout(() => ws.close(1000, 'enough'), orders.closeAfterMs);
		await converse((text) => {
			for (let at = 0; at < text.length; at += orders.piece ?? text.length) ws.send(text.slice(at, at + (orders.piece ?? text.length)), { fin: at + (orders.piece ?? text.length) >= text.length, binary: !!orders.binary });
		}, () => ws.close(1000, 'bye'));
	},
};

await agents[kind]();
await sleep(orders.staysMs ?? 0);
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
