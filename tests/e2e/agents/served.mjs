// An agent that stays: it takes its calls one at a time from a unix socket (so that a test can change limits between them), and makes
// them with the official SDK.
import net from 'node:net';
import OpenAI from 'openai';

const client = new OpenAI({ apiKey: 'sk-planted-secret-key', maxRetries: 0 });
const server = net.createServer((socket) => {
	let text = '';
	socket.on('data', async (data) => {
		text += data;
		if (!text.endsWith('\n')) return;
		const order = JSON.parse(text);
		text = '';
		if (order.end) {
			socket.end();
			server.close();
			return;
		}
		try {
			const { data, response } = await client.chat.completions.create(order).withResponse();
			socket.write(JSON.stringify({ status: response.status, text: data.choices[0].message.content, usage: data.usage }) + '\n');
		} catch (error) {
			socket.write(JSON.stringify({ status: error.status ?? 0, code: error.code, message: `${error.message}` }) + '\n');
		}
	});
});
server.listen(process.argv[2], () => console.log('listening'));
