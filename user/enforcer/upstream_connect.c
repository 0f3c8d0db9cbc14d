// SPDX-License-Identifier: Apache-2.0
// An upstream connection's way to being there: socket, TCP, TLS.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "enforcer/link.h"
#include "enforcer/upstream_state.h"
#include "enforcer/upstream_tls.h"
#include "enforcer/worker.h"

static bool chose_h2(const struct sg_upstream *upstream)
{
	const unsigned char *protocol = NULL;
	unsigned length = 0;

	if (!upstream->transport.ssl)
		return upstream->origin->key.http2 == SG_HTTP2_ALWAYS && !upstream->http1_only;
	SSL_get0_alpn_selected(upstream->transport.ssl, &protocol, &length);
	return length == 2 && memcmp(protocol, "h2", 2) == 0;
}

static void fail_handshake(struct sg_upstream *upstream)
{
	long verified = SSL_get_verify_result(upstream->transport.ssl);
	char reason[256], detail[640];

	sg_transport_tls_error(reason, sizeof(reason));
	if (verified != X509_V_OK)
		snprintf(detail, sizeof(detail), "the certificate of %s is not trusted: %s",
			upstream->origin->key.host, X509_verify_cert_error_string(verified));
	else
		snprintf(detail, sizeof(detail), "TLS with %s failed: %s",
			upstream->origin->key.host, reason);
	sg_upstream_fail(upstream, -EPROTO, detail);
}

void sg_upstream_shake_hands(struct sg_upstream *upstream)
{
	int r = sg_transport_handshake(&upstream->transport);

	if (r == -EAGAIN)
		return;
	if (r < 0)
		fail_handshake(upstream);
	else
		sg_upstream_become_ready(upstream, chose_h2(upstream));
}

static int start_tls(struct sg_upstream *upstream)
{
	static const unsigned char both[] = "\x02h2\x08http/1.1";
	const struct sg_pool_key *key = &upstream->origin->key;
	SSL *ssl;
	int r = sg_transport_start_tls(&upstream->transport, key->context, false);

	if (r < 0)
		return r;
	ssl = upstream->transport.ssl;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(ssl, key->host) != 1 || SSL_set_tlsext_host_name(ssl, key->host) != 1 ||
		SSL_set_ex_data(ssl, sg_upstream_tls_origin_index(), upstream->origin) != 1)
		return -ENOMEM;
	if (key->http2 == SG_HTTP2_OFFERED && !upstream->http1_only &&
		SSL_set_alpn_protos(ssl, both, sizeof(both) - 1) != 0)
		return -ENOMEM;
	if (upstream->origin->session)
		SSL_set_session(ssl, upstream->origin->session);
	return 0;
}

void sg_upstream_finish_connect(struct sg_upstream *upstream)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(upstream->transport.watch.fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error) {
		sg_upstream_fail(upstream, -error, strerror(error));
		return;
	}
	if (!upstream->origin->key.context) {
		sg_upstream_become_ready(upstream, chose_h2(upstream));
		return;
	}
	if (start_tls(upstream) < 0) {
		sg_upstream_fail(upstream, -ENOMEM, "out of memory");
		return;
	}
	upstream->state = SG_UPSTREAM_HANDSHAKE;
	sg_upstream_shake_hands(upstream);
}

static int connect_socket(struct sg_upstream *upstream, int fd)
{
	const struct sg_pool_key *key = &upstream->origin->key;
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(key->port) };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(key->port) };
	bool ipv4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)key->address);
	int on = 1, r;

	memcpy(&to6.sin6_addr, key->address, 16);
	memcpy(&to4.sin_addr, key->address + 12, 4);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r = ipv4 ? connect(fd, (struct sockaddr *)&to4, sizeof(to4))
		 : connect(fd, (struct sockaddr *)&to6, sizeof(to6));
	if (r < 0 && errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	upstream->state = SG_UPSTREAM_CONNECTING;
	return sg_transport_open(
		&upstream->transport, upstream->worker->loop, fd, sg_upstream_on_event);
}

int sg_upstream_connect(struct sg_upstream *upstream)
{
	struct sg_worker *worker = upstream->worker;
	const struct sg_pool_key *key = &upstream->origin->key;
	bool ipv4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)key->address);
	int family = ipv4 ? AF_INET : AF_INET6;
	int fd;

	if (key->netns_cookie) {
		upstream->state = SG_UPSTREAM_SOCKET;
		upstream->socket_request = ++worker->next_socket_request & SG_LINK_REQUEST_MASK;
		sg_upstream_link(&worker->waiting_sockets, upstream);
		return sg_link_want_socket(worker->enforcer->link, worker->index,
			upstream->socket_request, key->netns_cookie, family);
	}
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : connect_socket(upstream, fd);
}

void sg_upstream_on_socket(struct sg_worker *worker, uint32_t request, int result, int fd)
{
	struct sg_upstream *upstream = worker->waiting_sockets;
	int r = result;

	while (upstream && upstream->socket_request != request)
		upstream = upstream->next;
	if (!upstream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	sg_upstream_unlink(upstream);
	if (r == 0)
		r = connect_socket(upstream, fd);
	if (r < 0)
		sg_upstream_fail(upstream, r, strerror(-r));
}
