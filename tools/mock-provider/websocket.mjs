// SPDX-License-Identifier: Apache-2.0
// A WebSocket server's end (RFC 6455), by hand: a second opinion beside the product's codec and the clients' libraries.
import crypto from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

function encode(opcode, payload, final = true) {
	const length = payload.length;
	const head = length < 126 ? Buffer.alloc(2) : length < 65536 ? Buffer.alloc(4) : Buffer.alloc(10);
	head[0] = (final ? 0x80 : 0) | opcode;
	head[1] = length < 126 ? length : length < 65536 ? 126 : 127;
	if (head.length === 4) head.writeUInt16BE(length, 2);
	if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
	return Buffer.concat([head, payload]);
}

// Returns { frame, rest }, or null when it is not all there.
function decode(bytes) {
	if (bytes.length < 2) return null;
	const short = bytes[1] & 127;
	const at = short === 126 ? 4 : short === 127 ? 10 : 2;
	if (!(bytes[1] & 0x80) || bytes[0] & 0x70) throw new Error('no mask, or an extension');
	if (bytes.length < at + 4) return null;
	const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
	if (bytes.length < at + 4 + length) return null;
	const mask = bytes.subarray(at, at + 4);
	const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
	for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3];
	return { frame: { final: !!(bytes[0] & 0x80), opcode: bytes[0] & 15, payload }, rest: bytes.subarray(at + 4 + length) };
}

export class Connection {
	// `receive` gets each whole message as text; `left` is called once, when the client is gone.
	constructor(socket, head, { binary = false, receive, left }) {
		Object.assign(this, { socket, binary, receive, left, bytes: head, parts: [], open: true });
		socket.on('data', (data) => this.take(data));
		socket.on('close', () => this.end());
		socket.on('error', () => this.end());
		setImmediate(() => this.take(Buffer.alloc(0)));
	}

	take(data) {
		this.bytes = Buffer.concat([this.bytes, data]);
		try {
			for (let next = decode(this.bytes); next && this.open; next = decode(this.bytes)) {
				this.bytes = next.rest;
				this.onFrame(next.frame);
			}
		} catch {
			this.close(1002);
		}
	}

	onFrame({ final, opcode, payload }) {
		if (opcode === CLOSE) return this.close(payload.length ? payload.readUInt16BE(0) : 1000);
		if (opcode === PING) return void this.socket.write(encode(PONG, payload));
		if (opcode === PONG) return;
		this.parts.push(payload);
		if (!final) return;
		const text = Buffer.concat(this.parts.splice(0)).toString();
		this.receive(text);
	}

	// In `fragments` frames, with a ping between them.
	send(object, fragments = 1) {
		const payload = Buffer.from(JSON.stringify(object));
		const size = Math.ceil(payload.length / fragments);
		if (!this.open) return;
		for (let at = 0; at < payload.length; at += size) {
			const opcode = at ? 0 : this.binary ? BINARY : TEXT;
			this.socket.write(encode(opcode, payload.subarray(at, at + size), at + size >= payload.length));
			if (at + size < payload.length) this.socket.write(encode(PING, Buffer.from('mock')));
		}
	}

	close(code, reason = '') {
		if (this.open) this.socket.end(encode(CLOSE, Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)])));
		this.end();
	}

	end() {
		if (!this.open) return;
		this.open = false;
		this.left();
	}
}

export function accept(request, socket) {
	const key = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64');
	socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${key}\r\n\r\n`);
}
