// SPDX-License-Identifier: Apache-2.0
// Sends the requests of recorded exchanges (folder, names...) one after the other, and says the statuses that came back.
import https from 'node:https';

import { bodyOf, NAME_HEADER, readExchange } from '../../../tools/mock-provider/replay.mjs';

const [folder, ...names] = process.argv.slice(2);

function send(name) {
	const { request } = readExchange(folder, name);
	const body = bodyOf(request);
	const headers = { ...request.headers, host: request.host, [NAME_HEADER]: name, 'content-length': body.length };
	return new Promise((resolve, reject) => {
		const sent = https.request({ method: request.method, host: request.host, path: request.path, headers }, (response) => {
			response.resume();
			response.on('end', () => resolve(response.statusCode));
		});
		sent.on('error', reject);
		sent.end(body);
	});
}

const statuses = [];
for (const name of names) statuses.push(await send(name));
console.log(JSON.stringify(statuses));
