// SPDX-License-Identifier: Apache-2.0
// One agent for each official SDK: no base URL, no CA, nothing of spendgate. The SDK's name and the calls come as arguments; what
// each call gave, or its error, goes out as JSON. An SDK is a table of its calls: text in; text, or the tool that is to be called, out.
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tool = { name: 'weather', description: 'The weather of a city.', parameters: schema };
const tools = [{ type: 'function', function: tool }];
const ask = (content) => [{ role: 'user', content }];
const apiKey = 'planted-secret-key';

async function collect(stream, text) {
	let all = '';
	for await (const part of await stream) all += text(part) ?? '';
	return all;
}

// Whoever speaks OpenAI's chat.
const completions = (create, body) => ({
	plain: async (text) => (await create({ ...body, messages: ask(text) })).choices[0].message.content,
	stream: (text) => collect(create({ ...body, messages: ask(text), stream: true }), (chunk) => chunk.choices[0]?.delta?.content),
	tool: async (text) => (await create({ ...body, messages: ask(text), tools })).choices[0].message.tool_calls[0].function.name,
});

const SDKS = {
	async openai() {
		const { default: OpenAI } = await import('openai');
		const client = new OpenAI({ apiKey });
		return completions((body) => client.chat.completions.create(body), { model: 'gpt-4o', max_tokens: 50 });
	},
	async 'openai-responses'() {
		const { default: OpenAI } = await import('openai');
		const client = new OpenAI({ apiKey });
		const body = { model: 'gpt-5', max_output_tokens: 50 };
		return {
			plain: async (input) => (await client.responses.create({ ...body, input })).output_text,
			stream: (input) => collect(client.responses.create({ ...body, input, stream: true }), (event) => (event.type === 'response.output_text.delta' ? event.delta : '')),
			tool: async (input) => (await client.responses.create({ ...body, input, tools: [{ type: 'function', strict: false, ...tool }] })).output[0].name,
		};
	},
	async anthropic() {
		const { default: Anthropic } = await import('@anthropic-ai/sdk');
		const client = new Anthropic({ apiKey });
		const body = { model: 'claude-opus-5', max_tokens: 50 };
		return {
			plain: async (text) => (await client.messages.create({ ...body, messages: ask(text) })).content[0].text,
			stream: (text) => collect(client.messages.create({ ...body, messages: ask(text), stream: true }), (event) => event.delta?.text),
			tool: async (text) => (await client.messages.create({ ...body, messages: ask(text), tools: [{ name: tool.name, input_schema: schema }] })).content[0].name,
		};
	},
	async gemini() {
		const { GoogleGenAI } = await import('@google/genai');
		const { models } = new GoogleGenAI({ apiKey });
		const call = (contents, more) => ({ model: 'gemini-2.5-flash', contents, config: { maxOutputTokens: 512, ...more } });
		return {
			plain: async (text) => (await models.generateContent(call(text))).text,
			stream: (text) => collect(models.generateContentStream(call(text)), (chunk) => chunk.text),
			tool: async (text) => (await models.generateContent(call(text, { tools: [{ functionDeclarations: [{ name: tool.name, parametersJsonSchema: schema }] }] }))).functionCalls[0].name,
		};
	},
	async mistral() {
		const { Mistral } = await import('@mistralai/mistralai');
		const { chat } = new Mistral({ apiKey });
		const body = (text, more) => ({ model: 'mistral-large-latest', messages: ask(text), maxTokens: 50, ...more });
		return {
			plain: async (text) => (await chat.complete(body(text))).choices[0].message.content,
			stream: (text) => collect(chat.stream(body(text)), (event) => event.data.choices[0]?.delta?.content),
			tool: async (text) => (await chat.complete(body(text, { tools }))).choices[0].message.toolCalls[0].function.name,
		};
	},
	async cohere() {
		const { CohereClientV2 } = await import('cohere-ai');
		const client = new CohereClientV2({ token: apiKey });
		const body = (text, more) => ({ model: 'command-a-03-2025', messages: ask(text), maxTokens: 50, ...more });
		return {
			plain: async (text) => (await client.chat(body(text))).message.content[0].text,
			stream: (text) => collect(client.chatStream(body(text)), (event) => event.delta?.message?.content?.text),
			tool: async (text) => (await client.chat(body(text, { tools }))).message.toolCalls[0].function.name,
		};
	},
	async groq() {
		const { default: Groq } = await import('groq-sdk');
		const client = new Groq({ apiKey });
		return completions((body) => client.chat.completions.create(body), { model: 'llama-3.3-70b-versatile', max_completion_tokens: 50 });
	},
	async openrouter() {
		const { OpenRouter } = await import('@openrouter/sdk');
		const client = new OpenRouter({ apiKey });
		const send = (text, more) => client.chat.send({ chatRequest: { model: 'anthropic/claude-sonnet-4', messages: ask(text), maxTokens: 50, ...more } });
		return {
			plain: async (text) => (await send(text)).choices[0].message.content,
			stream: (text) => collect(send(text, { stream: true }), (chunk) => chunk.choices[0]?.delta?.content),
			tool: async (text) => (await send(text, { tools })).choices[0].message.toolCalls[0].function.name,
		};
	},
	async ollama() {
		const { Ollama } = await import('ollama');
		const client = new Ollama({ host: 'https://ollama.com', headers: { authorization: `Bearer ${apiKey}` } });
		const body = (text, more) => ({ model: 'llama3.2', messages: ask(text), options: { num_predict: 50 }, ...more });
		return {
			plain: async (text) => (await client.chat(body(text))).message.content,
			stream: (text) => collect(client.chat(body(text, { stream: true })), (part) => part.message.content),
			tool: async (text) => (await client.chat(body(text, { tools }))).message.tool_calls[0].function.name,
		};
	},
};

// Vercel's SDK, with each of its providers' packages.
const MODELS = { openai: 'gpt-5', anthropic: 'claude-opus-5', google: 'gemini-2.5-flash', mistral: 'mistral-large-latest', cohere: 'command-a-03-2025', groq: 'llama-3.3-70b-versatile' };
const MAKERS = { google: 'createGoogleGenerativeAI', openai: 'createOpenAI' };
for (const [provider, name] of Object.entries(MODELS)) {
	SDKS[`ai-${provider}`] = async () => {
		const { generateText, jsonSchema, streamText } = await import('ai');
		const package_ = await import(`@ai-sdk/${provider}`);
		const model = package_[MAKERS[provider] ?? `create${provider[0].toUpperCase()}${provider.slice(1)}`]({ apiKey })(name);
		const call = (prompt) => ({ model, prompt, maxOutputTokens: 50 });
		return {
			plain: async (text) => (await generateText(call(text))).text,
			stream: (text) => collect(streamText({ ...call(text), onError: () => {} }).fullStream, (part) => {
				if (part.type === 'error') throw part.error;
				return part.type === 'text-delta' ? part.text : '';
			}),
			tool: async (text) => (await generateText({ ...call(text), tools: { weather: { description: tool.description, inputSchema: jsonSchema(schema) } } })).toolCalls[0].toolName,
		};
	};
}

const [name, calls] = process.argv.slice(2);
const sdk = await SDKS[name]();
const results = {};
for (const [label, [kind, text]] of Object.entries(JSON.parse(calls))) {
	try {
		results[label] = { text: await sdk[kind](text) };
	} catch (error) {
		results[label] = { error: error.constructor.name, status: error.status ?? error.statusCode ?? error.status_code, message: `${error.message}`.slice(0, 400) };
	}
}
process.stdout.write(JSON.stringify(results), () => process.exit(0));
