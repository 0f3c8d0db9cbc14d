// SPDX-License-Identifier: Apache-2.0
// An agent in a loop, as people write it: the official SDK and a key, nothing else. It believes that it talks to api.openai.com.
import OpenAI from 'openai';

const client = new OpenAI({ apiKey: 'sk-any-key-the-agent-likes' });
let calls = 0;
let tokens = 0;
for (;;) {
	try {
		const answer = await client.chat.completions.create({
			model: 'gpt-4o',
			max_tokens: 60,
			messages: [{ role: 'user', content: 'What should I do next? mock:tokens=40' }],
		});
		calls++;
		tokens += answer.usage.total_tokens;
		console.log(`agent: call ${calls}: ${answer.usage.total_tokens} tokens, ${tokens} in all`);
	} catch (error) {
		console.log(`agent: stopped after ${calls} calls by ${error.constructor.name} (status ${error.status}, code ${error.code})`);
		console.log(`agent: "${error.message.slice(0, 160)}..."`);
		break;
	}
}
