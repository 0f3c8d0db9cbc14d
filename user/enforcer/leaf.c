// SPDX-License-Identifier: Apache-2.0
#include "enforcer/leaf.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <uthash.h>

#include "base/clock.h"
#include "enforcer/transport.h"

#define MAX_LEAVES	 4096
#define RENEW_BEFORE_NS	 (24 * 3600 * SG_NS_PER_SEC) // a leaf lives a week
#define RETRY_NS	 SG_NS_PER_SEC
#define TICKET_KEY_BYTES 80

struct leaf {
	char host[256];
	SSL_CTX *context; // NULL until the first answer
	int64_t renew_at_ns;
	int64_t asked_at_ns; // 0: not waiting for the warden
	int last_result;
	UT_hash_handle hh;
};

struct sg_leaves {
	pthread_mutex_t lock;
	sg_leaf_sign_fn sign;
	void *sign_context;
	EVP_PKEY *key;
	X509 *ca;
	unsigned char ticket_keys[TICKET_KEY_BYTES]; // one set for all names: an agent resumes
						     // across workers and renewals
	struct leaf *by_host; // the one that was asked for least recently is first
};

int sg_leaves_new(sg_leaf_sign_fn sign, void *context, struct sg_leaves **ret_leaves)
{
	struct sg_leaves *leaves = calloc(1, sizeof(*leaves));

	if (!leaves)
		return -ENOMEM;
	leaves->sign = sign;
	leaves->sign_context = context;
	leaves->key = EVP_EC_gen("P-256");
	if (!leaves->key || RAND_bytes(leaves->ticket_keys, TICKET_KEY_BYTES) != 1 ||
		pthread_mutex_init(&leaves->lock, NULL) != 0) {
		EVP_PKEY_free(leaves->key);
		free(leaves);
		return -ENOMEM;
	}
	*ret_leaves = leaves;
	return 0;
}

static void forget(struct sg_leaves *leaves, struct leaf *leaf)
{
	HASH_DEL(leaves->by_host, leaf);
	SSL_CTX_free(leaf->context);
	free(leaf);
}

static void forget_all(struct sg_leaves *leaves)
{
	struct leaf *leaf, *next;

	HASH_ITER(hh, leaves->by_host, leaf, next)
	forget(leaves, leaf);
}

struct sg_leaves *sg_leaves_free(struct sg_leaves *leaves)
{
	if (!leaves)
		return NULL;
	forget_all(leaves);
	EVP_PKEY_free(leaves->key);
	X509_free(leaves->ca);
	pthread_mutex_destroy(&leaves->lock);
	OPENSSL_cleanse(leaves->ticket_keys, TICKET_KEY_BYTES);
	free(leaves);
	return NULL;
}

int sg_leaves_public_key(
	const struct sg_leaves *leaves, unsigned char **ret_der, size_t *ret_length)
{
	unsigned char *der = NULL;
	int length = i2d_PUBKEY(leaves->key, &der);

	if (length <= 0)
		return -ENOMEM;
	*ret_der = der;
	*ret_length = (size_t)length;
	return 0;
}

// HTTP/1.1 whenever it is offered: HTTP/2 is for clients that speak nothing else.
static int select_protocol(SSL *ssl SG_UNUSED, const unsigned char **ret_protocol,
	unsigned char *ret_length, const unsigned char *offered, unsigned offered_length,
	void *context SG_UNUSED)
{
	static const unsigned char ours[] = "\x08http/1.1\x02h2";

	if (SSL_select_next_proto((unsigned char **)ret_protocol, ret_length, ours,
		    sizeof(ours) - 1, offered, offered_length) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_context(struct sg_leaves *leaves, X509 *certificate)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context)
		return NULL;
	sg_transport_configure(context);
	// Many clients close without close_notify; message framing tells whether anything is
	// missing.
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
					     SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); // tickets hold the state
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_tlsext_ticket_keys(context, leaves->ticket_keys, TICKET_KEY_BYTES);
	SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
	if (SSL_CTX_use_certificate(context, certificate) != 1 ||
		SSL_CTX_use_PrivateKey(context, leaves->key) != 1) {
		SSL_CTX_free(context);
		ERR_clear_error();
		return NULL;
	}
	return context;
}

static struct leaf *find_or_add(struct sg_leaves *leaves, const char *host)
{
	struct leaf *leaf;

	HASH_FIND_STR(leaves->by_host, host, leaf);
	if (leaf) {
		HASH_DEL(leaves->by_host, leaf);
	} else {
		if (strlen(host) >= sizeof(leaf->host))
			return NULL;
		leaf = calloc(1, sizeof(*leaf));
		if (!leaf)
			return NULL;
		strcpy(leaf->host, host);
		// Names are the agents' to choose: one that asks for many must not shut out the
		// others'.
		if (HASH_COUNT(leaves->by_host) >= MAX_LEAVES)
			forget(leaves, leaves->by_host);
	}
	HASH_ADD_STR(leaves->by_host, host, leaf);
	return leaf;
}

// Does a new signature have to be asked for now?
static bool wants_signature(const struct leaf *leaf, int64_t now_ns)
{
	if (leaf->asked_at_ns && now_ns - leaf->asked_at_ns < RETRY_NS)
		return false;
	return !leaf->context || now_ns >= leaf->renew_at_ns;
}

// Who comes next asks at once.
static void was_not_asked(struct sg_leaves *leaves, const char *host)
{
	struct leaf *leaf;

	pthread_mutex_lock(&leaves->lock);
	HASH_FIND_STR(leaves->by_host, host, leaf);
	if (leaf)
		leaf->asked_at_ns = 0;
	pthread_mutex_unlock(&leaves->lock);
}

int sg_leaves_get(struct sg_leaves *leaves, const char *host, SSL_CTX **ret_context)
{
	int64_t now_ns = sg_clock_monotonic_ns();
	struct leaf *leaf;
	bool ask = false;
	int r = -ENOMEM;

	pthread_mutex_lock(&leaves->lock);
	leaf = find_or_add(leaves, host);
	if (leaf) {
		ask = wants_signature(leaf, now_ns);
		if (ask)
			leaf->asked_at_ns = now_ns;
		r = -EINPROGRESS;
		if (leaf->context) {
			SSL_CTX_up_ref(leaf->context);
			*ret_context = leaf->context;
			r = 0;
		} else if (!ask && leaf->last_result < 0) {
			r = leaf->last_result;
		}
	}
	pthread_mutex_unlock(&leaves->lock);
	if (ask) {
		int asked = leaves->sign(leaves->sign_context, host);

		if (asked < 0) {
			was_not_asked(leaves, host);
			if (r == -EINPROGRESS)
				r = asked;
		}
	}
	return r;
}

static int64_t renewal_time_ns(const X509 *certificate)
{
	int days = 0, seconds = 0;
	int64_t left_ns;

	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
		return 0;
	left_ns = ((int64_t)days * 86400 + seconds) * SG_NS_PER_SEC;
	return sg_clock_monotonic_ns() +
	       (left_ns > 2 * RENEW_BEFORE_NS ? left_ns - RENEW_BEFORE_NS : left_ns / 2);
}

int sg_leaves_put(struct sg_leaves *leaves, const char *host, int result, const unsigned char *der,
	size_t length)
{
	X509 *certificate = der ? d2i_X509(NULL, &der, (long)length) : NULL;
	SSL_CTX *context = certificate ? make_context(leaves, certificate) : NULL;
	struct leaf *leaf;

	if (!context && result == 0)
		result = -EPROTO;
	pthread_mutex_lock(&leaves->lock);
	HASH_FIND_STR(leaves->by_host, host, leaf);
	if (leaf) {
		leaf->last_result = result;
		if (context) {
			SSL_CTX_free(leaf->context);
			leaf->context = SG_TAKE(context);
			leaf->renew_at_ns = renewal_time_ns(certificate);
			leaf->asked_at_ns = 0;
		}
	}
	pthread_mutex_unlock(&leaves->lock);
	SSL_CTX_free(context);
	X509_free(certificate);
	ERR_clear_error();
	return result;
}

int sg_leaves_set_ca(struct sg_leaves *leaves, const unsigned char *der, size_t length)
{
	X509 *ca = d2i_X509(NULL, &der, (long)length);

	if (!ca)
		return -EBADMSG;
	pthread_mutex_lock(&leaves->lock);
	if (leaves->ca && X509_cmp(leaves->ca, ca) != 0)
		forget_all(leaves);
	X509_free(leaves->ca);
	leaves->ca = ca;
	pthread_mutex_unlock(&leaves->lock);
	return 0;
}
