// SPDX-License-Identifier: Apache-2.0
// The provider's own bill: exact integer arithmetic with prices of its own, kept apart from the product's code and price file.
import { createHash } from 'node:crypto';

// USD per million tokens, as decimal text: [input, cache read, cache write 5 min, cache write 1 h, output, and of models that hear and
// speak: audio input, audio output]. The others are of text then.
const PRICES = {
	'gpt-4o': ['2.5', '1.25', '2.5', '2.5', '10'],
	'gpt-4o-mini': ['0.15', '0.075', '0.15', '0.15', '0.6'],
	'gpt-4.1': ['2', '0.5', '2', '2', '8'],
	'gpt-5.4': ['2.5', '0.25', '2.5', '2.5', '15'],
	'gpt-5-nano': ['0.05', '0.005', '0.05', '0.05', '0.4'],
	'gpt-5': ['1.25', '0.125', '1.25', '1.25', '10'],
	'gpt-realtime': ['4', '0.4', '4', '4', '16', '32', '64'],
	'gpt-4o-transcribe': ['2.5', '2.5', '2.5', '2.5', '10', '6', '0'],
	'gemini-3.1-flash-live-preview': ['0.75', '0.75', '0.75', '0.75', '4.5', '3', '12'],
	'gemini-live-2.5-flash': ['0.5', '0.5', '0.5', '0.5', '2', '3', '12'],
	'claude-opus-5': ['5', '0.5', '6.25', '10', '25'],
	'claude-sonnet-4-5': ['3', '0.3', '3.75', '6', '15'],
	'claude-haiku-4-5': ['1', '0.1', '1.25', '2', '5'],
};

// Micro-dollars per million tokens are pico-dollars a token.
function picoPerToken(text) {
	const [whole, fraction = ''] = text.split('.');
	return BigInt(whole + fraction.padEnd(6, '0'));
}

export function priceKnown(model) {
	return model in PRICES;
}

// A call's price in nano-dollars, rounded up once. A region's host costs a tenth more.
export function costOf(model, usage, regional) {
	const prices = (PRICES[model] ?? ['0', '0', '0', '0', '0']).map(picoPerToken);
	const counts = [usage.input, usage.cacheRead, usage.cacheWrite, usage.cacheWrite1h, usage.output, usage.audioInput, usage.audioOutput].map((n) => BigInt(n ?? 0));
	const pico = prices.reduce((sum, price, i) => sum + price * counts[i], 0n);
	return regional ? (pico * 11n + 9999n) / 10000n : (pico + 999n) / 1000n;
}

export class Bill {
	constructor() {
		this.reset();
	}

	reset() {
		this.nanousd = 0n;
		this.calls = 0;
		this.requests = 0;
		this.connections = 0;
		this.resumed = 0;
		this.streams = 0;
		this.mostStreams = 0;
		this.input = 0;
		this.output = 0;
		this.seen = [];
		this.keys = [];
	}

	// What each request says of a key, as hashes: which one it was can be told, and nothing else.
	noteKeys({ url, headers }) {
		const note = { path: url };
		for (const name of ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'])
			if (headers[name] !== undefined) note[name] = createHash('sha256').update(headers[name]).digest('hex');
		if (headers['sec-websocket-protocol']) note.protocols = headers['sec-websocket-protocol'];
		this.keys.push(note);
	}

	// Of HTTP/2: one more, beside those that are open on its connection.
	noteStreams(open) {
		this.streams++;
		this.mostStreams = Math.max(this.mostStreams, open);
	}

	add(model, usage, regional) {
		this.calls++;
		this.input += usage.input + (usage.cacheRead ?? 0) + (usage.cacheWrite ?? 0) + (usage.cacheWrite1h ?? 0) + (usage.audioInput ?? 0);
		this.output += usage.output + (usage.audioOutput ?? 0);
		this.nanousd += costOf(model, usage, regional);
	}

	toJSON() {
		const text = this.nanousd.toString().padStart(10, '0');
		return {
			usd: `${text.slice(0, -9)}.${text.slice(-9)}`.replace(/\.?0+$/, ''),
			nanousd: this.nanousd.toString(),
			calls: this.calls,
			requests: this.requests,
			connections: this.connections,
			resumed: this.resumed,
			streams: this.streams,
			most_streams: this.mostStreams,
			input_tokens: this.input,
			output_tokens: this.output,
			seen: this.seen,
			keys: this.keys,
		};
	}
}
