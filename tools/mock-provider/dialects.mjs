// SPDX-License-Identifier: Apache-2.0
// The wire shapes of Gemini's generateContent, Cohere's chat and Ollama's chat.
import { countTokens, lastUserText, number } from './orders.mjs';

const data = (object) => `data: ${JSON.stringify(object)}\n\n`;
const outputOf = (orders) => number(orders, 'tokens', 8);
const ARGUMENTS = { city: 'Paris' };

export const gemini = {
	text: (body) => (body.contents ?? []).flatMap((content) => content.parts ?? []).map((part) => part.text ?? '').join(' '),
	error: (code, message) => ({ error: { code, message, status: 'INVALID_ARGUMENT' } }),
	streams: (body, path) => path.endsWith(':streamGenerateContent'),
	make(body, orders, path) {
		const model = path.split('/').at(-1).split(':')[0];
		const output = outputOf(orders);
		const input = countTokens(JSON.stringify(body.contents));
		const usageMetadata = { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output };
		const name = body.tools?.[0]?.functionDeclarations?.[0]?.name;
		const answer = (parts, more) => ({ candidates: [{ content: { role: 'model', parts }, index: 0, ...more }], modelVersion: model, usageMetadata });
		const whole = orders.tool ? [{ functionCall: { name, args: ARGUMENTS } }] : [{ text: 'tok '.repeat(output) }];
		return {
			model, billed: { input, output },
			body: answer(whole, { finishReason: 'STOP' }),
			setUsage: (target, value) => (target.usageMetadata = value),
			*events() {
				for (let i = 0; i < output; i++) yield { tokens: 1, text: data(answer([{ text: 'tok ' }])) };
				yield { tokens: 0, usage: true, text: data(answer([{ text: '' }], { finishReason: 'STOP' })) };
			},
		};
	},
};

export const cohere = {
	text: (body) => lastUserText(body.messages),
	error: (code, message) => ({ message }),
	make(body, orders) {
		const output = outputOf(orders);
		const input = countTokens(JSON.stringify(body.messages));
		const usage = { billed_units: { input_tokens: input, output_tokens: output }, tokens: { input_tokens: input, output_tokens: output } };
		const tool = { id: 'call_1', type: 'function', function: { name: body.tools?.[0]?.function?.name, arguments: JSON.stringify(ARGUMENTS) } };
		const message = orders.tool ? { role: 'assistant', tool_plan: '', tool_calls: [tool] } : { role: 'assistant', content: [{ type: 'text', text: 'tok '.repeat(output) }] };
		return {
			model: body.model, billed: { input, output },
			body: { id: 'mock', finish_reason: orders.tool ? 'TOOL_CALL' : 'COMPLETE', message, usage },
			setUsage: (target, value) => (target.usage = value),
			*events() {
				yield { tokens: 0, text: data({ type: 'message-start', id: 'mock', delta: { message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] } } }) };
				yield { tokens: 0, text: data({ type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: '' } } } }) };
				for (let i = 0; i < output; i++) yield { tokens: 1, text: data({ type: 'content-delta', index: 0, delta: { message: { content: { text: 'tok ' } } } }) };
				yield { tokens: 0, text: data({ type: 'content-end', index: 0 }) };
				yield { tokens: 0, usage: true, text: data({ type: 'message-end', delta: { finish_reason: 'COMPLETE', usage } }) };
				yield { tokens: 0, text: 'data: [DONE]\n\n' };
			},
		};
	},
};

export const ollama = {
	text: (body) => lastUserText(body.messages),
	error: (code, message) => ({ error: message }),
	streams: (body) => body.stream !== false,
	contentType: 'application/x-ndjson',
	make(body, orders) {
		const output = outputOf(orders);
		const input = countTokens(JSON.stringify(body.messages));
		const line = (content, more) => ({ model: body.model, created_at: '2026-11-24T00:00:00Z', message: { role: 'assistant', content, ...more?.message }, done: false, ...more?.top });
		const end = { top: { done: true, done_reason: 'stop', prompt_eval_count: input, eval_count: output } };
		const calls = { message: { tool_calls: [{ function: { name: body.tools?.[0]?.function?.name, arguments: ARGUMENTS } }] } };
		return {
			model: body.model, billed: { input, output },
			body: orders.tool ? line('', { ...calls, ...end }) : line('tok '.repeat(output), end),
			setUsage: (target, value) => (target.eval_count = value),
			*events() {
				for (let i = 0; i < output; i++) yield { tokens: 1, text: `${JSON.stringify(line('tok '))}\n` };
				yield { tokens: 0, usage: true, text: `${JSON.stringify(line('', end))}\n` };
			},
		};
	},
};
