// SPDX-License-Identifier: Apache-2.0
// One agent for each provider's official SDK: no base URL, no CA, nothing of spendgate. The name of the SDK comes as the argument;
// what a plain call, a stream and their errors look like goes out as JSON.
const question = 'Name three rivers.';
const messages = [{ role: 'user', content: question }];

async function collect(stream, text) {
	let all = '';
	for await (const part of stream) all += text(part) ?? '';
	return all;
}

async function groq() {
	const { default: Groq } = await import('groq-sdk');
	const client = new Groq({ apiKey: 'planted' });
	const body = { model: 'llama-3.3-70b-versatile', messages, max_completion_tokens: 30 };
	return { stream: async () => collect(await client.chat.completions.create({ ...body, stream: true }), (chunk) => chunk.choices[0]?.delta?.content) };
}

async function gemini() {
	const { GoogleGenAI } = await import('@google/genai');
	const client = new GoogleGenAI({ apiKey: 'planted' });
	const call = { model: 'gemini-2.5-flash', contents: question, config: { maxOutputTokens: 512 } };
	return {
		plain: async () => (await client.models.generateContent(call)).text,
		stream: async () => collect(await client.models.generateContentStream(call), (chunk) => chunk.text),
	};
}

async function mistral() {
	const { Mistral } = await import('@mistralai/mistralai');
	const client = new Mistral({ apiKey: 'planted' });
	return { plain: async () => (await client.chat.complete({ model: 'mistral-large-latest', messages, maxTokens: 50 })).choices[0].message.content };
}

async function cohere() {
	const { CohereClientV2 } = await import('cohere-ai');
	const client = new CohereClientV2({ token: 'planted' });
	return { stream: async () => collect(await client.chatStream({ model: 'command-a-03-2025', messages }), (event) => event.delta?.message?.content?.text) };
}

const result = {};
for (const [kind, call] of Object.entries(await { groq, gemini, mistral, cohere }[process.argv[2]]())) {
	try {
		result[kind] = { text: await call() };
	} catch (error) {
		result[kind] = { error: error.constructor.name, status: error.status ?? error.statusCode ?? error.status_code, message: `${error.message}`.slice(0, 400) };
	}
}
console.log(JSON.stringify(result));
