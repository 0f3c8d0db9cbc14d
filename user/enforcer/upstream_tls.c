// SPDX-License-Identifier: Apache-2.0
#include "enforcer/upstream_tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "enforcer/pool.h"
#include "enforcer/transport.h"

static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int origin_index = -1;

static void make_index(void)
{
	origin_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int sg_upstream_tls_origin_index(void)
{
	pthread_once(&index_once, make_index);
	return origin_index;
}

// A ticket from the provider: the newest one of an origin serves its next connection.
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct sg_pool_origin *origin = SSL_get_ex_data(ssl, sg_upstream_tls_origin_index());

	if (!origin)
		return 0;
	sg_pool_origin_remember(origin, session);
	return 1; // the reference is the origin's now
}

static int trust_pem(X509_STORE *store, const char *pem, struct sg_error *error)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	unsigned count = 0;
	X509 *certificate;

	if (!bio)
		return sg_error_set(error, -ENOMEM, "out of memory");
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(store, certificate) == 1)
			count++;
		X509_free(certificate);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (!count)
		return sg_error_set(error, -EINVAL,
			"upstream CA: no certificate in the file (PEM is expected)");
	return 0;
}

int sg_upstream_context_new(const char *pem, SSL_CTX **ret_context, struct sg_error *error)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	static const unsigned char alpn[] = "\x08http/1.1";
	int r = 0;

	if (!context)
		return sg_error_set(error, -ENOMEM, "out of memory");
	sg_transport_configure(context);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_new_session);
	if (SSL_CTX_set_alpn_protos(context, alpn, sizeof(alpn) - 1) != 0)
		r = sg_error_set(error, -ENOMEM, "out of memory");
	else if (pem)
		r = trust_pem(SSL_CTX_get_cert_store(context), pem, error);
	else if (SSL_CTX_set_default_verify_paths(context) != 1)
		r = sg_error_set(error, -ENOENT,
			"the system's CA certificates can't be read: install ca-certificates");
	if (r < 0) {
		SSL_CTX_free(context);
		return r;
	}
	*ret_context = context;
	return 0;
}
