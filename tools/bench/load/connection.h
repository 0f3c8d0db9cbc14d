// SPDX-License-Identifier: Apache-2.0
// One TLS connection of the load: connects, sends a request, reads the answer, and again. Driven by
// edge-triggered epoll events of its owner's thread.
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "samples.h"

enum connection_state {
	CONNECTION_CLOSED,
	CONNECTION_HANDSHAKE, // TCP and TLS
	CONNECTION_IDLE,
	CONNECTION_SENDING,
	CONNECTION_RECEIVING,
};

// What all connections of a run share.
struct load {
	int epoll;
	SSL_CTX *tls;
	struct sockaddr_in address;
	const char *host;
	char *request;
	size_t request_length;
	bool connection_per_request;
	bool stopping; // no new requests
	unsigned busy; // connections with a request or handshake under way
	uint64_t requests, errors, connects;
	uint64_t requests_with_warm_up;
	uint64_t body_bytes_least, body_bytes_most;
	struct samples handshake, first_byte, whole;
	char issuer[256]; // of the certificate that was shown last
	char last_error[128];
	char scratch[64 << 10];
};

struct connection {
	struct load *load;
	enum connection_state state;
	int fd;
	SSL *ssl;
	size_t sent;
	uint64_t began; // nanoseconds: the request, or the connection if there is one per request
	uint64_t connecting;
	bool first_byte_seen;
	struct answer answer;
};

uint64_t now_nanoseconds(void);

// Begins the next request, over the open connection if there is one.
void connection_start(struct connection *connection);

// Something can be read or written. Starts the next request by itself unless the load is stopping.
void connection_drive(struct connection *connection);

void connection_close(struct connection *connection);
