// SPDX-License-Identifier: Apache-2.0
// Clients of other languages, unmodified, each with certificates of its own kind; and what containers of other layouts trust.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Host, message } from './lib.mjs';

const scratch = process.env.SPENDGATE_SCRATCH;
let host;
before(async () => {
	host = new Host();
	await host.begin();
	host.load('go');
});
beforeEach(() => host.mock.reset());
after(() => host.end());

// Two calls, of which one is paid for.
async function isMetered(name, command, more = {}) {
	const { stdout, stderr } = await host.run({ agent: name, 'budget.max-requests': 1 }, command, more);
	assert.deepEqual(stdout.trim().split('\n'), ['200', '402'], stdout + stderr + host.log());
	assert.equal((await host.mock.bill()).requests, 1);
}

const JAVA = ['/opt/java/bin/java', '-cp', '/opt/agents'];
test('Java: HttpClient with its own cacerts, a JKS', () => isMetered('java', [...JAVA, 'Call', '2']));
test('Java: HttpClient with a PKCS#12 of certificates', () => isMetered('java-pkcs12', [...JAVA, '-Djavax.net.ssl.trustStore=/opt/pkcs12/lib/security/cacerts', 'Call', '2']));
test('Java: a store that is checked against its password', () => isMetered('java-password', [...JAVA, '-Djavax.net.ssl.trustStore=/opt/java/lib/security/cacerts', '-Djavax.net.ssl.trustStorePassword=changeit', 'Call', '2']));
test('Go: net/http in an image with nothing else, not root, on a read-only root', () => isMetered('go', ['/call', '2'], { image: 'go', options: ['--user', '65534:65534', '--read-only'] }));

test('Node with the Anthropic SDK', async () => {
	const orders = { calls: [message('mock:tokens=4'), message('mock:tokens=4')], maxRetries: 0 };
	const { stdout, stderr } = await host.run({ agent: 'anthropic', 'budget.max-requests': 1 }, ['node', '/tests/e2e/agents/anthropic.mjs', JSON.stringify(orders)]);
	const results = JSON.parse(stdout || `"${stderr}"`);
	assert.ok(results[0].ok, stdout);
	assert.ok(!results[1].ok, stdout);
	assert.equal((await host.mock.bill()).requests, 1);
});

// Go reads the first of these that is there, when no variable names another.
const layouts = {
	Alpine: '/etc/ssl/cert.pem',
	'Red Hat': '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
	SUSE: '/etc/ssl/ca-bundle.pem',
};
for (const [name, file] of Object.entries(layouts))
	test(`the layout of ${name}, without a variable's help`, async () => {
		const image = name.toLowerCase().replace(' ', '-');
		const folder = path.join(scratch, image);
		fs.mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
		execFileSync('tar', ['-C', folder, '-xf', path.join(process.env.SPENDGATE_IMAGES, 'go.tar'), './call']);
		fs.copyFileSync('/etc/ssl/certs/ca-certificates.crt', path.join(folder, file));
		execFileSync('tar', ['-C', folder, '-cf', `${folder}.tar`, '.']);
		host.docker('import', `${folder}.tar`, image);
		await isMetered(image, ['/call', '2'], { image, options: ['-e', 'SSL_CERT_FILE='] });
	});

test('a key beside a certificate is not copied to where others can read it', async () => {
	const folder = path.join(scratch, 'secret');
	fs.mkdirSync(folder);
	fs.writeFileSync(path.join(folder, 'both.pem'), `${fs.readFileSync(new URL('other-roots.pem', import.meta.url))}-----BEGIN PRIVATE KEY-----\nUExBTlRFRA==\n-----END PRIVATE KEY-----\n`, { mode: 0o600 });
	const { stdout, stderr } = await host.run({ agent: 'secret', 'budget.max-requests': 1 }, ['cat', '/secret/both.pem'], { options: ['-v', `${folder}:/secret:ro`, '-e', 'CURL_CA_BUNDLE=/secret/both.pem'] });
	assert.match(stdout, /BEGIN CERTIFICATE/, stderr);
	assert.doesNotMatch(stdout, /PRIVATE/);
	const merged = path.join(host.gate.env.SPENDGATE_RUN_DIR, 'trust/merged');
	for (const name of fs.readdirSync(merged)) assert.doesNotMatch(fs.readFileSync(path.join(merged, name), 'latin1'), /PRIVATE|UExBTlRFRA/);
});

test('a client with roots of its own is refused, and the log says which, and what to do', async () => {
	const { code } = await host.run({ agent: 'pinned', 'budget.max-requests': 1 }, ['curl', '-sS', '-m', '10', '--cacert', '/pinned.pem', 'https://api.openai.com/v1/models'], { options: ['-v', `${new URL('other-roots.pem', import.meta.url).pathname}:/pinned.pem:ro`] });
	assert.equal(code, 60);
	await host.logged(/event=untrusted .*agent=pinned .*host=api\.openai\.com .*command=curl .*remedy="this program has roots of its own/);
	assert.equal((await host.mock.bill()).requests, 0);
});
