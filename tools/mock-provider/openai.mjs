// SPDX-License-Identifier: Apache-2.0
// The wire shapes of OpenAI chat completions and responses.
import { lastUserText, number } from './orders.mjs';
import { inputTokens, say, sayAll } from './tokenizer.mjs';

const CREATED = 1790000000;

function outputTokens(orders, limit) {
	if (orders.tokens === 'max') return limit ?? 4096;
	return Math.min(number(orders, 'tokens', 8), limit ?? Infinity);
}

export function chatText(body) {
	return lastUserText(body.messages);
}

export function responsesText(body) {
	return typeof body.input === 'string' ? body.input : lastUserText(body.input);
}

// Providers whose streams tell usage unasked, in the chunk that finishes.
const UNASKED = { 'api.mistral.ai': (usage) => ({ usage }), 'openrouter.ai': (usage) => ({ usage }), 'api.groq.com': (usage) => ({ x_groq: { id: 'req_mock', usage } }) };

export function chat(body, orders, path, host) {
	const n = body.n ?? 1;
	const each = outputTokens(orders, body.max_completion_tokens ?? body.max_tokens);
	const cached = number(orders, 'cached', 0);
	const input = inputTokens(`${body.model}`, body.messages) + cached;
	const base = { id: 'chatcmpl-mock', created: CREATED, model: `${body.model}`, service_tier: 'default', system_fingerprint: 'fp_mock' };
	const usage = {
		prompt_tokens: input,
		completion_tokens: each * n,
		total_tokens: input + each * n,
		prompt_tokens_details: { cached_tokens: cached, audio_tokens: 0 },
		completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
	};
	const chunk = (choices, extra) => `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices, ...extra })}\n\n`;
	const asks = body.stream_options?.include_usage === true;
	const nulls = asks ? { usage: null } : {};
	return {
		model: body.model,
		billed: { input: input - cached, cacheRead: cached, output: each * n },
		body: {
			...base,
			object: 'chat.completion',
			choices: Array.from({ length: n }, (_, index) => ({
				index,
				message: toolMessage(body, sayAll(`${body.model}`, each)),
				logprobs: null,
				finish_reason: body.tools?.length ? 'tool_calls' : 'stop',
			})),
			usage,
		},
		setUsage: (target, value) => (target.usage = value),
		*events() {
			yield { tokens: 0, text: chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }], nulls) };
			for (const { text, tokens } of say(`${body.model}`, each * n, orders)) yield { tokens, text: chunk([{ index: 0, delta: { content: text }, finish_reason: null }], nulls) };
			yield { tokens: 0, text: chunk([{ index: 0, delta: {}, finish_reason: 'stop' }], UNASKED[host]?.(usage) ?? nulls) };
			if (asks) yield { tokens: 0, usage: true, text: chunk([], { usage }) };
			yield { tokens: 0, text: 'data: [DONE]\n\n' };
		},
	};
}

function toolMessage(body, content) {
	if (!body.tools?.length) return { role: 'assistant', content, refusal: null, annotations: [] };
	const name = body.tools[0].function?.name ?? 'tool';
	return { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name, arguments: '{"city":"Paris"}' } }] };
}

const call = (body) => ({ type: 'function_call', id: 'fc_1', call_id: 'call_1', status: 'completed', name: body.tools[0].name, arguments: '{"city":"Paris"}' });

export function responses(body, orders) {
	const output = outputTokens(orders, body.max_output_tokens);
	const cached = number(orders, 'cached', 0);
	const input = inputTokens(`${body.model}`, body.input) + cached;
	const text = sayAll(`${body.model}`, output);
	const usage = {
		input_tokens: input,
		input_tokens_details: { cached_tokens: cached },
		output_tokens: output,
		output_tokens_details: { reasoning_tokens: 0 },
		total_tokens: input + output,
	};
	const item = (content) => ({ type: 'message', id: 'msg_mock', status: 'completed', role: 'assistant', content });
	const response = (status, extra) => ({
		id: 'resp_mock', object: 'response', created_at: CREATED, status, model: body.model, output: [], parallel_tool_calls: true,
		tool_choice: 'auto', tools: [], error: null, incomplete_details: null, instructions: null, metadata: {}, service_tier: 'default', usage: null, ...extra,
	});
	const part = { type: 'output_text', text, annotations: [] };
	let sequence = 0;
	const event = (type, data) => `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...data })}\n\n`;
	return {
		model: body.model,
		billed: { input: input - cached, cacheRead: cached, output },
		body: response('completed', { output: [orders.tool ? call(body) : item([part])], usage }),
		setUsage: (target, value) => (target.usage = value),
		*events() {
			yield { tokens: 0, text: event('response.created', { response: response('in_progress') }) };
			yield { tokens: 0, text: event('response.output_item.added', { output_index: 0, item: item([]) }) };
			yield { tokens: 0, text: event('response.content_part.added', { item_id: 'msg_mock', output_index: 0, content_index: 0, part: { ...part, text: '' } }) };
			for (const { text: delta, tokens } of say(`${body.model}`, output, orders)) yield { tokens, text: event('response.output_text.delta', { item_id: 'msg_mock', output_index: 0, content_index: 0, delta }) };
			yield { tokens: 0, text: event('response.output_text.done', { item_id: 'msg_mock', output_index: 0, content_index: 0, text }) };
			yield { tokens: 0, text: event('response.content_part.done', { item_id: 'msg_mock', output_index: 0, content_index: 0, part }) };
			yield { tokens: 0, text: event('response.output_item.done', { output_index: 0, item: item([part]) }) };
			yield { tokens: 0, usage: true, text: event('response.completed', { response: response('completed', { output: [item([part])], usage }) }) };
		},
	};
}

export const error = (status, message) => ({ error: { message, type: status >= 500 ? 'server_error' : 'invalid_request_error', param: null, code: null } });
