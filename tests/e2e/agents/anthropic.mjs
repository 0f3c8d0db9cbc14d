// The same with the official Anthropic SDK.
import Anthropic from '@anthropic-ai/sdk';

const { calls, parallel = 1 } = JSON.parse(process.argv[2]);
const client = new Anthropic({ apiKey: 'sk-ant-planted-secret-key' });

const describe = (error) => ({ ok: false, name: error.constructor.name, status: error.status, type: error.type, message: `${error.message}`.slice(0, 600), body: error.error });

async function one(call) {
	try {
		if (!call.body.stream) {
			const answer = await client.messages.create(call.body);
			return { ok: true, text: answer.content[0].text, usage: answer.usage };
		}
		const seen = { ok: true, events: 0, chunks: 0, text: '' };
		for await (const event of await client.messages.create(call.body)) {
			seen.events++;
			seen.text += event.delta?.text ?? '';
			if (event.delta?.text) seen.chunks++;
			seen.finish = event.delta?.stop_reason ?? seen.finish;
			if (event.usage) seen.usage = event.usage;
			if (call.abortAfter && seen.chunks >= call.abortAfter) return { ...seen, aborted: true };
		}
		return seen;
	} catch (error) {
		return describe(error);
	}
}

const results = [];
const queue = calls.map((call, index) => [call, index]);
await Promise.all(Array.from({ length: parallel }, async () => {
	while (queue.length) {
		const [call, index] = queue.shift();
		results[index] = await one(call);
	}
}));
console.log(JSON.stringify(results));
