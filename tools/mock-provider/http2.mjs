// SPDX-License-Identifier: Apache-2.0
// The mock over HTTP/2, and what can only be done there. The bill counts streams, and the most that were open on one connection.
import http2 from 'node:http2';

export const isHttp2 = (request) => request.stream !== undefined && request.httpVersionMajor === 2;

const sockets = new Map(); // by the other end's port

function watch(server, event, bill) {
	server.on(event, (socket) => {
		sockets.set(socket.remotePort, socket);
		socket.on('close', () => sockets.delete(socket.remotePort));
	});
	server.on('session', (session) => {
		let open = 0;
		session.on('error', () => {});
		session.on('stream', (stream) => {
			bill.noteStreams(++open);
			stream.on('error', () => {}); // a client that leaves
			stream.on('close', () => open--);
		});
	});
	return server;
}

// Without `tls`: plain, for clients that know.
export function createServer(tls, { only, streams, bill }, serve) {
	const settings = streams ? { maxConcurrentStreams: Number(streams) } : {};
	return tls ? watch(http2.createSecureServer({ ...tls, allowHTTP1: !only, settings }, serve), 'secureConnection', bill) : watch(http2.createServer({ settings }, serve), 'connection', bill);
}

// The connection ends without a word, whatever else is on it.
export function breakConnection(request) {
	if (isHttp2(request)) sockets.get(request.stream.session.socket.remotePort).destroy();
	else request.socket.destroy();
}

// The call is not done, and not billed, in a way that HTTP/1.1 does not know. Returns true then.
//  - refused: the stream is; its client may repeat it
//  - goaway: the connection takes no more calls, this one not either (the first of a connection is refused: node can't say so)
//  - rst: the stream is reset with an error that tells nothing
export function refuses(request, { fault }) {
	const { constants } = http2;
	if (!isHttp2(request)) return false;
	if (fault === 'refused' || (fault === 'goaway' && request.stream.id === 1)) request.stream.close(constants.NGHTTP2_REFUSED_STREAM);
	else if (fault === 'goaway') request.stream.session.goaway(constants.NGHTTP2_NO_ERROR, request.stream.id - 2);
	else if (fault === 'rst') request.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
	else return false;
	return true;
}
