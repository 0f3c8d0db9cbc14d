// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t now_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void connection_close(struct connection *connection)
{
	if (connection->ssl) {
		// Says good-bye and does not wait for the answer, as most clients.
		if (connection->state == CONNECTION_IDLE)
			SSL_shutdown(connection->ssl);
		ERR_clear_error();
		SSL_free(connection->ssl);
	}
	if (connection->fd >= 0)
		close(connection->fd);
	connection->ssl = NULL;
	connection->fd = -1;
	connection->state = CONNECTION_CLOSED;
}

static void fail(struct connection *connection, const char *why)
{
	struct load *load = connection->load;

	snprintf(load->last_error, sizeof(load->last_error), "%s (status %u, answer state %d, %s)",
		why, connection->answer.status, (int)connection->answer.state, strerror(errno));
	load->errors++;
	load->busy--;
	connection_close(connection);
}

static void begin_request(struct connection *connection)
{
	if (!connection->load->connection_per_request)
		connection->began = now_nanoseconds();
	connection->sent = 0;
	connection->first_byte_seen = false;
	answer_begin(&connection->answer);
	connection->state = CONNECTION_SENDING;
}

static int open_socket(struct connection *connection)
{
	struct load *load = connection->load;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP,
		.data.ptr = connection };
	int one = 1;

	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		return -1;
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		return -1;
	if (connect(connection->fd, (struct sockaddr *)&load->address, sizeof(load->address)) < 0 &&
		errno != EINPROGRESS)
		return -1;
	return 0;
}

void connection_start(struct connection *connection)
{
	struct load *load = connection->load;

	load->busy++;
	if (connection->state == CONNECTION_IDLE) {
		begin_request(connection);
		connection_drive(connection);
		return;
	}
	connection->began = connection->connecting = now_nanoseconds();
	answer_begin(&connection->answer);
	load->connects++;
	if (open_socket(connection) < 0) {
		fail(connection, "connect");
		return;
	}
	connection->ssl = SSL_new(load->tls);
	if (!connection->ssl || !SSL_set_fd(connection->ssl, connection->fd) ||
		!SSL_set_tlsext_host_name(connection->ssl, load->host))
		errx(1, "no memory for TLS");
	SSL_set_connect_state(connection->ssl);
	connection->state = CONNECTION_HANDSHAKE;
}

// Returns 1 to go on, 0 to wait for an event, -1 after a failure.
static int outcome(struct connection *connection, int result, const char *why)
{
	int error;

	if (result > 0)
		return 1;
	error = SSL_get_error(connection->ssl, result);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return 0;
	ERR_clear_error();
	fail(connection, why);
	return -1;
}

static int handshake(struct connection *connection)
{
	struct load *load = connection->load;
	int r = outcome(connection, SSL_do_handshake(connection->ssl), "handshake");
	X509 *certificate;

	if (r <= 0)
		return r;
	samples_add(&load->handshake, now_nanoseconds() - connection->connecting);
	certificate = SSL_get0_peer_certificate(connection->ssl);
	if (certificate && !load->issuer[0])
		X509_NAME_oneline(
			X509_get_issuer_name(certificate), load->issuer, sizeof(load->issuer));
	begin_request(connection);
	return 1;
}

static int send_request(struct connection *connection)
{
	struct load *load = connection->load;
	int n = SSL_write(connection->ssl, load->request + connection->sent,
		(int)(load->request_length - connection->sent));
	int r = outcome(connection, n, "send");

	if (r <= 0)
		return r;
	connection->sent += (size_t)n;
	if (connection->sent == load->request_length)
		connection->state = CONNECTION_RECEIVING;
	return 1;
}

// The answer is whole: counts it, and starts the next. Returns 1 if that is on this connection.
static int finish_request(struct connection *connection)
{
	struct load *load = connection->load;
	bool close_it = load->connection_per_request || connection->answer.close;

	if (connection->answer.status != 200) {
		fail(connection, "not answered with 200");
		return -1;
	}
	samples_add(&load->whole, now_nanoseconds() - connection->began);
	load->requests++;
	load->requests_with_warm_up++;
	if (!load->body_bytes_least || connection->answer.body_bytes < load->body_bytes_least)
		load->body_bytes_least = connection->answer.body_bytes;
	if (connection->answer.body_bytes > load->body_bytes_most)
		load->body_bytes_most = connection->answer.body_bytes;
	connection->state = CONNECTION_IDLE;
	load->busy--;
	if (close_it)
		connection_close(connection);
	if (load->stopping)
		return 0;
	if (close_it) {
		connection_start(connection);
		return 0;
	}
	load->busy++;
	begin_request(connection);
	return 1;
}

static int receive(struct connection *connection)
{
	struct load *load = connection->load;
	int n = SSL_read(connection->ssl, load->scratch, sizeof(load->scratch));

	if (n <= 0 && (SSL_get_shutdown(connection->ssl) & SSL_RECEIVED_SHUTDOWN)) {
		answer_end(&connection->answer);
	} else {
		int r = outcome(connection, n, "receive");

		if (r <= 0)
			return r;
		answer_read(&connection->answer, load->scratch, (size_t)n);
	}
	if (!connection->first_byte_seen && connection->answer.body_bytes) {
		connection->first_byte_seen = true;
		samples_add(&load->first_byte, now_nanoseconds() - connection->began);
	}
	if (connection->answer.state == ANSWER_MALFORMED) {
		fail(connection, "malformed answer");
		return -1;
	}
	return connection->answer.state == ANSWER_COMPLETE ? finish_request(connection) : 1;
}

// Between requests the server may send session tickets, or close.
static int read_idle(struct connection *connection)
{
	int n = SSL_read(connection->ssl, connection->load->scratch, 1);
	int error = SSL_get_error(connection->ssl, n);

	if (n <= 0 && error == SSL_ERROR_WANT_READ)
		return 0;
	ERR_clear_error();
	connection_close(connection);
	return -1;
}

void connection_drive(struct connection *connection)
{
	int r = 1;

	while (r > 0) {
		switch (connection->state) {
		case CONNECTION_CLOSED:
			return;
		case CONNECTION_HANDSHAKE:
			r = handshake(connection);
			break;
		case CONNECTION_IDLE:
			r = read_idle(connection);
			break;
		case CONNECTION_SENDING:
			r = send_request(connection);
			break;
		case CONNECTION_RECEIVING:
			r = receive(connection);
			break;
		}
	}
}
