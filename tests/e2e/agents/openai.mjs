// An agent as people write it: the official SDK, no base URL, no CA, nothing of spendgate. Calls come as JSON on the command
// line, what it saw goes out as JSON.
import OpenAI from 'openai';

// The first `alone` calls are made one after another.
const { calls, parallel = 1, alone = 0, maxRetries } = JSON.parse(process.argv[2]);
const client = new OpenAI({ apiKey: 'sk-planted-secret-key', ...(maxRetries === undefined ? {} : { maxRetries }) });

const describe = (error) => ({ ok: false, name: error.constructor.name, status: error.status, code: error.code, type: error.type, message: `${error.message}`.slice(0, 600), budget: error.error?.budget });

async function one(call) {
	try {
		const controller = new AbortController();
		if (call.abortAfterMs) setTimeout(() => controller.abort(), call.abortAfterMs);
		const create = call.api === 'responses' ? client.responses.create.bind(client.responses) : client.chat.completions.create.bind(client.chat.completions);
		const answer = await create(call.body, { signal: controller.signal });
		if (!call.body.stream) return { ok: true, text: answer.choices?.[0]?.message?.content ?? answer.output_text, tool: answer.choices?.[0]?.message?.tool_calls?.[0]?.function?.name, usage: answer.usage };
		const seen = { ok: true, chunks: 0, text: '', usage: null, empty: 0 };
		for await (const chunk of answer) {
			seen.chunks++;
			if (chunk.choices && chunk.choices.length === 0) seen.empty++;
			seen.text += chunk.choices?.[0]?.delta?.content ?? (chunk.type === 'response.output_text.delta' ? chunk.delta : '');
			seen.finish = chunk.choices?.[0]?.finish_reason ?? chunk.response?.incomplete_details?.reason ?? seen.finish;
			seen.usage = chunk.usage ?? chunk.response?.usage ?? seen.usage;
			if (call.abortAfter && seen.chunks >= call.abortAfter) controller.abort();
		}
		return { ...seen, aborted: controller.signal.aborted };
	} catch (error) {
		return describe(error);
	}
}

const results = [];
const queue = calls.map((call, index) => [call, index]);
for (const [call, index] of queue.splice(0, alone)) results[index] = await one(call);
await Promise.all(Array.from({ length: parallel }, async () => {
	while (queue.length) {
		const [call, index] = queue.shift();
		if (call.waitMs) await new Promise((resolve) => setTimeout(resolve, call.waitMs));
		results[index] = await one(call);
	}
}));
console.log(JSON.stringify(results));
