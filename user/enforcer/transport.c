// SPDX-License-Identifier: Apache-2.0
#include "enforcer/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "enforcer/limits.h"

// ---- The socket, with readiness ----

static ssize_t socket_read(struct sg_transport *transport, void *data, size_t size)
{
	ssize_t n;

	if (!transport->can_read)
		return -EAGAIN;
	do
		n = recv(transport->watch.fd, data, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		n = -errno;
		if (n == -EAGAIN)
			transport->can_read = false;
	} else if (n == 0) {
		transport->peer_closed = true;
	} else if ((size_t)n < size && !transport->peer_closed) {
		// A short read has emptied the socket (epoll(7)); the next edge tells of more.
		// After RDHUP there is no further edge, so the end must be read.
		transport->can_read = false;
	}
	return n;
}

static ssize_t socket_write(struct sg_transport *transport, const void *data, size_t length)
{
	ssize_t n;

	if (!transport->can_write)
		return -EAGAIN;
	do
		n = send(transport->watch.fd, data, length, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		n = -errno;
		if (n == -EAGAIN)
			transport->can_write = false;
	} else {
		transport->written += (uint64_t)n;
	}
	return n;
}

// ---- The same as an OpenSSL BIO ----

static int bio_read(BIO *bio, char *data, int size)
{
	ssize_t n = socket_read(BIO_get_data(bio), data, (size_t)size);

	BIO_clear_retry_flags(bio);
	if (n == -EAGAIN)
		BIO_set_retry_read(bio);
	errno = n < 0 ? (int)-n : 0;
	return n < 0 ? -1 : (int)n;
}

static int bio_write(BIO *bio, const char *data, int length)
{
	ssize_t n = socket_write(BIO_get_data(bio), data, (size_t)length);

	BIO_clear_retry_flags(bio);
	if (n == -EAGAIN)
		BIO_set_retry_write(bio);
	errno = n < 0 ? (int)-n : 0;
	return n < 0 ? -1 : (int)n;
}

static long bio_control(BIO *bio, int command, long number SG_UNUSED, void *pointer SG_UNUSED)
{
	struct sg_transport *transport = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return transport->peer_closed;
	default:
		return 0;
	}
}

static BIO_METHOD *transport_method;

static void __attribute__((constructor)) make_method(void)
{
	transport_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "spendgate");
	if (!transport_method)
		return;
	BIO_meth_set_read(transport_method, bio_read);
	BIO_meth_set_write(transport_method, bio_write);
	BIO_meth_set_ctrl(transport_method, bio_control);
}

// ---- Lifecycle ----

int sg_transport_open(
	struct sg_transport *transport, struct sg_loop *loop, int fd, sg_watch_fn on_event)
{
	int r;

	*transport = (struct sg_transport){
		.loop = loop, .allowance = SG_TURN_BYTES, .can_write = true, .can_read = true
	};
	r = sg_loop_watch(loop, &transport->watch, fd, SG_TRANSPORT_EVENTS, on_event);
	if (r < 0)
		close(fd);
	return r;
}

bool sg_transport_note_events(struct sg_transport *transport, uint32_t events)
{
	transport->allowance = SG_TURN_BYTES;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		transport->can_read = true;
	if (events & EPOLLOUT)
		transport->can_write = true;
	if (events & EPOLLRDHUP)
		transport->peer_closed = true;
	return !(events & (EPOLLERR | EPOLLHUP));
}

void sg_transport_configure(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	// AES-128 first: 128 bits are enough for traffic of this day, a third less work on a stream
	// than 256, and its SHA-256 has instructions of its own where SHA-384 has none.
	SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					  "TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
}

int sg_transport_start_tls(struct sg_transport *transport, SSL_CTX *context, bool accept)
{
	BIO *bio = NULL;

	transport->ssl = SSL_new(context);
	if (transport->ssl && transport_method)
		bio = BIO_new(transport_method);
	if (!bio) {
		SSL_free(transport->ssl);
		transport->ssl = NULL;
		ERR_clear_error();
		return -ENOMEM;
	}
	BIO_set_data(bio, transport);
	BIO_set_init(bio, 1);
	SSL_set_bio(transport->ssl, bio, bio);
	if (accept)
		SSL_set_accept_state(transport->ssl);
	else
		SSL_set_connect_state(transport->ssl);
	return 0;
}

// Maps what an SSL call gave to our idiom. 0 is the peer's end of data.
static ssize_t ssl_result(struct sg_transport *transport, int result)
{
	switch (SSL_get_error(transport->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		transport->peer_closed = true;
		return 0;
	case SSL_ERROR_SYSCALL:
		transport->failed = true;
		ERR_clear_error(); // SSL_get_error reads this thread's queue: never leave another
				   // connection's errors in it
		return errno ? -errno : -ECONNRESET;
	default:
		transport->failed = true;
		return -EPROTO;
	}
}

int sg_transport_handshake(struct sg_transport *transport)
{
	int result = SSL_do_handshake(transport->ssl);

	if (result == 1)
		return 0;
	result = (int)ssl_result(transport, result);
	return result == 0 ? -ECONNRESET : result;
}

void sg_transport_charge(struct sg_transport *transport, size_t bytes)
{
	transport->allowance -= bytes < transport->allowance ? bytes : transport->allowance;
}

bool sg_transport_has_turn(struct sg_transport *transport)
{
	if (transport->allowance || transport->broken)
		return true;
	sg_loop_again(transport->loop, &transport->watch);
	return false;
}

static ssize_t tls_read(struct sg_transport *transport, void *data, size_t size)
{
	size_t n;
	int result = SSL_read_ex(transport->ssl, data, size, &n);

	return result == 1 ? (ssize_t)n : ssl_result(transport, result);
}

ssize_t sg_transport_read(struct sg_transport *transport, void *data, size_t size)
{
	ssize_t n;

	if (!sg_transport_has_turn(transport))
		return -EAGAIN;
	n = transport->ssl ? tls_read(transport, data, size) : socket_read(transport, data, size);
	if (n > 0)
		sg_transport_charge(transport, (size_t)n);
	return n;
}

static ssize_t tls_write(struct sg_transport *transport, const void *data, size_t length)
{
	size_t n;
	int result = SSL_write_ex(transport->ssl, data, length, &n);

	if (result == 1)
		return (ssize_t)n;
	result = (int)ssl_result(transport, result);
	return result == 0 ? -EPIPE : result;
}

ssize_t sg_transport_write(struct sg_transport *transport, const void *data, size_t length)
{
	ssize_t n = transport->ssl ? tls_write(transport, data, length)
				   : socket_write(transport, data, length);

	if (n < 0 && n != -EAGAIN)
		transport->broken = true;
	return n;
}

bool sg_transport_is_acknowledged(const struct sg_transport *transport, uint64_t written)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	if (getsockopt(transport->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
		length <
			offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
		return true;
	return info.tcpi_bytes_acked > written + 1;
}

int sg_transport_flush(struct sg_transport *transport, struct sg_buf *buf)
{
	while (sg_buf_length(buf)) {
		ssize_t n = sg_transport_write(transport, sg_buf_head(buf), sg_buf_length(buf));

		if (n < 0)
			return (int)n;
		sg_buf_consume(buf, (size_t)n);
	}
	return 0;
}

void sg_transport_shutdown(struct sg_transport *transport)
{
	if (transport->ssl && !transport->failed && SSL_is_init_finished(transport->ssl)) {
		SSL_shutdown(transport->ssl); // our close_notify only; the peer's is not waited for
		ERR_clear_error();
	}
	shutdown(transport->watch.fd, SHUT_WR);
}

void sg_transport_reset(struct sg_transport *transport)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	// What has no connection any more needs no end.
	(void)!connect(transport->watch.fd, &nowhere, sizeof(nowhere));
}

void sg_transport_close(struct sg_transport *transport)
{
	int fd = transport->watch.fd;

	if (fd < 0)
		return;
	sg_loop_unwatch(transport->loop, &transport->watch);
	if (transport->failed)
		ERR_clear_error();
	// A connection that merely ends spoils no session: OpenSSL would take the ticket for bad.
	if (transport->ssl && SSL_is_init_finished(transport->ssl))
		SSL_set_shutdown(transport->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(transport->ssl);
	transport->ssl = NULL;
	close(fd);
}

void sg_transport_tls_error(char *out, size_t size)
{
	unsigned long code = ERR_peek_last_error();

	if (code)
		ERR_error_string_n(code, out, size);
	else
		snprintf(out, size, "connection closed");
	ERR_clear_error();
}
