// SPDX-License-Identifier: Apache-2.0
// An agent with Amazon's SDK, which speaks HTTP/2 only: no endpoint, no CA, nothing of spendgate.
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, InvokeModelCommand } from '@aws-sdk/client-bedrock-runtime';

const client = new BedrockRuntimeClient({ region: 'us-east-1', credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'planted' } });
const modelId = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const call = { modelId, messages: [{ role: 'user', content: [{ text: 'Name a river.' }] }], inferenceConfig: { maxTokens: 200 } };
const invoke = { modelId: `us.${modelId}`, contentType: 'application/json', body: JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }) };

async function collect({ stream }) {
	const seen = { text: '', usage: null };
	for await (const event of stream) {
		seen.text += event.contentBlockDelta?.delta?.text ?? '';
		seen.usage = event.metadata?.usage ?? seen.usage;
	}
	return seen;
}

const kinds = {
	plain: async () => {
		const answer = await client.send(new ConverseCommand(call));
		return { text: answer.output.message.content[0].text, usage: answer.usage };
	},
	stream: async () => collect(await client.send(new ConverseStreamCommand(call))),
	invoke: async () => ({ text: JSON.parse(new TextDecoder().decode((await client.send(new InvokeModelCommand(invoke))).body)).content[0].text }),
};

const result = {};
for (const [kind, run] of Object.entries(kinds)) {
	try {
		result[kind] = await run();
	} catch (error) {
		result[kind] = { error: error.name, status: error.$metadata?.httpStatusCode, attempts: error.$metadata?.attempts, message: `${error.message}`.slice(0, 400) };
	}
}
console.log(JSON.stringify(result));
client.destroy();
