// SPDX-License-Identifier: Apache-2.0
// The sessions that providers have over a WebSocket: OpenAI's realtime and responses, Gemini's live. Each turn is billed when it
// ends, or, when the client is seen to be gone, with what was generated so far.
import * as openai from './openai.mjs';
import { countTokens, number, readOrders, sleep } from './orders.mjs';
import { accept, Connection } from './websocket.mjs';

class Session {
	constructor(socket, head, context, binary) {
		this.context = context;
		this.connection = new Connection(socket, head, {
			binary,
			receive: (text) => this.receive(JSON.parse(text)),
			left: () => (this.gone = true),
		});
		this.turns = 0;
	}

	send(object, orders = {}) {
		this.connection.send(object, number(orders, 'fragment', 1));
	}

	orders(text) {
		return readOrders(text, this.context.takeFaults());
	}

	// Runs the words of a turn. Returns how many came out, or -1 when the connection was cut on purpose.
	async speak(count, orders, say) {
		const delay = number(orders, 'delay', 0);
		let said = 0;
		while (said < count && !this.gone) {
			if (orders.fault === 'reset-midway' && said >= 3) {
				this.connection.socket.destroy();
				return said;
			}
			say('tok ');
			said++;
			if (delay) await sleep(delay);
		}
		return said;
	}

	bill(model, usage) {
		this.context.bill.add(model, usage, this.context.regional);
	}
}

// ---- OpenAI's responses ----

class Responses extends Session {
	async receive({ type, ...body }) {
		if (type !== 'response.create') return this.send({ type: 'error', status: 400, error: { type: 'invalid_request_error', code: null, message: `unknown event ${type}`, param: null } });
		const orders = this.orders(openai.responsesText(body));
		if (orders.status) return this.send({ type: 'error', status: Number(orders.status), error: { type: 'invalid_request_error', code: 'as_ordered', message: 'as ordered', param: null } }, orders);
		const answer = openai.responses(body, orders);
		const events = [...answer.events()].map((event) => ({ ...event, message: JSON.parse(event.text.slice(event.text.indexOf('data: ') + 6)) }));
		const delay = number(orders, 'delay', 0);
		let tokens = 0;
		for (const event of events) {
			if (this.gone) break;
			if (orders.fault === 'reset-midway' && tokens >= 3) {
				this.connection.socket.destroy();
				this.gone = true;
				break;
			}
			tokens += event.tokens;
			if (event.usage) this.bill(answer.model, answer.billed);
			if (event.usage && orders.fault === 'no-usage') delete event.message.response.usage;
			this.send(event.message, orders);
			if (event.usage) return;
			if (delay && event.tokens) await sleep(delay);
		}
		this.bill(answer.model, { ...answer.billed, output: tokens });
	}
}

// ---- OpenAI's realtime ----

// Ten tokens a second of G.711, which has 8,000 bytes a second.
const soundTokens = (bytes) => Math.ceil(bytes / 800);

class Realtime extends Session {
	constructor(socket, head, context) {
		super(socket, head, context, false);
		this.session = {
			type: 'realtime', object: 'realtime.session', id: 'sess_mock', model: context.url.searchParams.get('model'),
			audio: { input: { turn_detection: { type: 'server_vad', create_response: true }, transcription: null } },
		};
		this.items = [];
		this.heard = 0;
		this.send({ type: 'session.created', event_id: 'event_1', session: this.session });
	}

	receive(event) {
		const handlers = {
			'session.update': () => this.update(event.session),
			'conversation.item.create': () => this.add(event.item),
			'input_audio_buffer.append': () => this.hear(event.audio),
			'input_audio_buffer.commit': () => this.commit(),
			'response.create': () => this.respond(event.response ?? {}),
			'response.cancel': () => (this.cancelled = true),
		};
		if (handlers[event.type]) return handlers[event.type]();
		return this.send({ type: 'error', event_id: 'event_e', error: { type: 'invalid_request_error', code: 'unknown_event', message: event.type, param: null, event_id: null } });
	}

	update(session) {
		Object.assign(this.session.audio.input, session.audio?.input ?? {});
		this.send({ type: 'session.updated', event_id: 'event_u', session: this.session });
	}

	add(item) {
		this.items.push(item);
		this.send({ type: 'conversation.item.created', event_id: 'event_i', item: { ...item, id: `item_${this.items.length}` } });
	}

	// A byte of silence, "=", ends what is said, where the provider listens for it.
	hear(audio) {
		const bytes = Buffer.from(audio, 'base64').toString('latin1');
		this.heard += bytes.length;
		if (!bytes.endsWith('=') || !this.session.audio.input.turn_detection) return;
		this.commit();
		if (this.session.audio.input.turn_detection.create_response !== false) this.respond({});
	}

	commit() {
		const id = `item_${this.items.push({ role: 'user', audio: this.heard })}`;
		const audio = soundTokens(this.heard);
		this.send({ type: 'input_audio_buffer.committed', event_id: 'event_c', item_id: id });
		const model = this.session.audio.input.transcription?.model;
		this.heard = 0;
		if (!model) return;
		this.bill(model, { input: 2, audioInput: audio, output: 3 });
		const usage = { type: 'tokens', input_tokens: audio + 2, input_token_details: { text_tokens: 2, audio_tokens: audio }, output_tokens: 3, total_tokens: audio + 5 };
		this.send({ type: 'conversation.item.input_audio_transcription.completed', event_id: 'event_t', item_id: id, content_index: 0, transcript: 'said', usage });
	}

	async respond({ max_output_tokens: limit }) {
		const id = `resp_${++this.turns}`;
		const model = this.session.model;
		const last = this.items.at(-1);
		const orders = this.orders((last?.content ?? []).map((part) => part.text ?? '').join(' '));
		if (orders.status) return this.send({ type: 'error', event_id: 'event_e', error: { type: 'invalid_request_error', code: 'as_ordered', message: 'as ordered', param: null, event_id: null } });
		const heard = this.items.reduce((sum, item) => sum + soundTokens(item.audio ?? 0), 0);
		const cached = number(orders, 'cached', 0);
		const text = countTokens(JSON.stringify(this.items));
		const most = Number.isInteger(limit) ? limit : 4096;
		const wanted = Math.min(orders.tokens === 'max' ? 4096 : number(orders, 'tokens', 8), most);
		const spoken = Math.min(number(orders, 'audio', 0), most - wanted);
		const response = (status, extra) => ({ id, object: 'realtime.response', status, status_details: null, output: [], usage: null, ...extra });
		this.cancelled = false;
		this.send({ type: 'response.created', event_id: 'event_r', response: response('in_progress') }, orders);
		const said = await this.speak(wanted, orders, (delta) => this.send({ type: 'response.output_text.delta', event_id: 'event_d', response_id: id, item_id: 'item_o', output_index: 0, content_index: 0, delta }, orders));
		const usage = {
			total_tokens: text + heard + cached + said + spoken, input_tokens: text + heard + cached, output_tokens: said + spoken,
			input_token_details: { text_tokens: text + cached, audio_tokens: heard, image_tokens: 0, cached_tokens: cached, cached_tokens_details: { text_tokens: cached, audio_tokens: 0, image_tokens: 0 } },
			output_token_details: { text_tokens: said, audio_tokens: spoken },
		};
		this.bill(model, { input: text, audioInput: heard, cacheRead: cached, output: said, audioOutput: spoken });
		this.send({ type: 'response.done', event_id: 'event_f', response: response('completed', { output: [{ type: 'message', id: 'item_o' }], usage: orders.fault === 'no-usage' ? null : usage }) }, orders);
	}
}

// ---- Gemini's live ----

// Its messages are JSON in binary frames.
class Live extends Session {
	constructor(socket, head, context) {
		super(socket, head, context, true);
	}

	receive(message) {
		if (message.setup) {
			this.model = message.setup.model.split('/').at(-1);
			return this.send({ setupComplete: {} });
		}
		const parts = message.clientContent?.turns?.flatMap((turn) => turn.parts ?? []) ?? [];
		const text = message.realtimeInput?.text ?? parts.map((part) => part.text ?? '').join(' ');
		if (message.clientContent?.turnComplete || message.realtimeInput?.text) return this.respond(text);
	}

	async respond(asked) {
		const orders = this.orders(asked);
		const prompt = countTokens(asked);
		const said = await this.speak(number(orders, 'tokens', 8), orders, (text) => this.send({ serverContent: { modelTurn: { parts: [{ text }] } } }, orders));
		const spoken = number(orders, 'audio', 0);
		this.bill(this.model, { input: prompt, output: said, audioOutput: spoken });
		const usageMetadata = {
			promptTokenCount: prompt, responseTokenCount: said + spoken, totalTokenCount: prompt + said + spoken,
			promptTokensDetails: [{ modality: 'TEXT', tokenCount: prompt }],
			responseTokensDetails: [{ modality: 'TEXT', tokenCount: said }, { modality: 'AUDIO', tokenCount: spoken }],
		};
		this.send({ serverContent: { turnComplete: true }, ...(orders.fault === 'no-usage' ? {} : { usageMetadata }) }, orders);
	}
}

const PATHS = [
	[/^\/v1\/realtime$/, Realtime],
	[/^\/v1\/responses$/, Responses],
	[/^\/+ws\/google\.ai\.generativelanguage\.[a-z0-9]+\.GenerativeService\.BidiGenerateContent$/, Live],
	[/^\/+ws\/google\.cloud\.aiplatform\.[a-z0-9]+\.LlmBidiService\/BidiGenerateContent$/, Live],
];

// context: { bill, regional, takeFaults }
export function serveUpgrade(request, socket, head, context) {
	const path = request.url.split('?')[0];
	const [, Kind] = PATHS.find(([pattern]) => pattern.test(path)) ?? [];
	const faults = context.takeFaults();
	context.bill.requests++;
	context.bill.noteKeys(request);
	context.bill.seen.push({ path: request.url, upgrade: true, extensions: request.headers['sec-websocket-extensions'] });
	if (!Kind || faults.status) return socket.end(`HTTP/1.1 ${faults.status ?? 404} No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`);
	accept(request, socket);
	return new Kind(socket, head, { ...context, url: new URL(request.url.replace(/^\/+/, '/'), 'wss://mock') });
}
