// SPDX-License-Identifier: Apache-2.0
// The wire shapes of Anthropic messages.
import { countTokens, lastUserText, number } from './orders.mjs';

export function messagesText(body) {
	return lastUserText(body.messages);
}

export function messages(body, orders) {
	const limit = body.max_tokens;
	const output = orders.tokens === 'max' ? limit : Math.min(number(orders, 'tokens', 8), limit);
	const input = countTokens(JSON.stringify(body.messages));
	const cacheRead = number(orders, 'cached', 0);
	const cacheWrite = number(orders, 'write', 0);
	const cacheWrite1h = number(orders, 'write1h', 0);
	const counts = {
		input_tokens: input,
		cache_creation_input_tokens: cacheWrite + cacheWrite1h,
		cache_read_input_tokens: cacheRead,
		cache_creation: { ephemeral_5m_input_tokens: cacheWrite, ephemeral_1h_input_tokens: cacheWrite1h },
		service_tier: 'standard',
	};
	const head = { id: 'msg_mock', type: 'message', role: 'assistant', model: body.model };
	const event = (type, data) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
	return {
		model: body.model,
		billed: { input, cacheRead, cacheWrite, cacheWrite1h, output },
		body: {
			...head,
			content: orders.tool ? [{ type: 'tool_use', id: 'toolu_1', name: body.tools[0].name, input: { city: 'Paris' } }] : [{ type: 'text', text: 'tok '.repeat(output) }],
			stop_reason: orders.tool ? 'tool_use' : 'end_turn',
			stop_sequence: null,
			usage: { ...counts, output_tokens: output },
		},
		setUsage: (target, value) => (target.usage = value),
		*events() {
			yield { tokens: 0, text: event('message_start', { message: { ...head, content: [], stop_reason: null, stop_sequence: null, usage: { ...counts, output_tokens: 1 } } }) };
			yield { tokens: 0, text: event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) };
			yield { tokens: 0, text: event('ping', {}) };
			for (let i = 0; i < output; i++) yield { tokens: 1, text: event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'tok ' } }) };
			yield { tokens: 0, text: event('content_block_stop', { index: 0 }) };
			yield { tokens: 0, usage: true, text: event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: output } }) };
			yield { tokens: 0, text: event('message_stop', {}) };
		},
	};
}

export const error = (status, message) => ({ type: 'error', error: { type: status >= 500 ? 'api_error' : 'invalid_request_error', message }, request_id: 'req_mock' });
