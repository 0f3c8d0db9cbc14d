// SPDX-License-Identifier: Apache-2.0
#include "warden/ca.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/fd.h"
#include "base/log.h"

#define CA_DAYS		730
#define CA_RENEW_DAYS	30
#define LEAF_DAYS	7
#define CLOCK_SKEW_DAYS 2 // a container's clock may lag
#define DAY_SECONDS	86400L
#define KEY_LIMIT	65536

struct sg_ca {
	X509 *certificate;
	EVP_PKEY *key;
	uint8_t *der;
	size_t der_length;
	char **hosts; // what the constraints permit
};

// ---- Building blocks ----

// RFC 5280, 4.1.2.2: positive, at most 20 octets; random, so that a client never sees one twice.
static int set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	BIGNUM *number = NULL;
	int r = -ENOMEM;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return -EIO;
	bytes[0] &= 0x7f;
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	if (number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)))
		r = 0;
	BN_free(number);
	return r;
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	int added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension)
		return -ENOMEM;
	added = X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return added == 1 ? 0 : -ENOMEM;
}

static int set_times(X509 *certificate, long from_days, long to_days)
{
	return X509_gmtime_adj(X509_getm_notBefore(certificate), from_days * DAY_SECONDS) &&
			       X509_gmtime_adj(
				       X509_getm_notAfter(certificate), to_days * DAY_SECONDS)
		       ? 0
		       : -ENOMEM;
}

static int set_common_name(X509_NAME *name, const char *text)
{
	// X.520 bounds a common name to 64 characters; the SAN counts anyway.
	if (strlen(text) > 64)
		return 0;
	return X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_ASC, (const unsigned char *)text, -1, -1, 0) == 1
		       ? 0
		       : -ENOMEM;
}

// ---- The root ----

// "critical,permitted;DNS:a,permitted;DNS:b,...": and no IP address at all.
static char *constraints_text(char *const *hosts)
{
	static const char head[] = "critical";
	static const char tail[] =
		",excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0";
	size_t length = sizeof(head) + sizeof(tail), used;
	char *text;

	for (char *const *host = hosts; *host; host++)
		length += strlen(*host) + strlen(",permitted;DNS:");
	text = malloc(length);
	if (!text)
		return NULL;
	used = (size_t)snprintf(text, length, "%s", head);
	for (char *const *host = hosts; *host; host++)
		used += (size_t)snprintf(text + used, length - used, ",permitted;DNS:%s", *host);
	snprintf(text + used, length - used, "%s", tail);
	return text;
}

static int build_root(struct sg_ca *ca)
{
	X509 *root = ca->certificate;
	char *constraints = constraints_text(ca->hosts);
	int r = constraints ? set_serial(root) : -ENOMEM;

	if (r == 0)
		r = set_times(root, -CLOCK_SKEW_DAYS, CA_DAYS);
	if (r == 0)
		r = set_common_name(X509_get_subject_name(root), "spendgate local CA");
	if (r == 0 && (X509_set_version(root, X509_VERSION_3) != 1 ||
			      X509_set_pubkey(root, ca->key) != 1 ||
			      X509_set_issuer_name(root, X509_get_subject_name(root)) != 1))
		r = -ENOMEM;
	if (r == 0)
		r = add_extension(root, root, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
	if (r == 0)
		r = add_extension(root, root, NID_key_usage, "critical,keyCertSign,cRLSign");
	if (r == 0)
		r = add_extension(root, root, NID_subject_key_identifier, "hash");
	if (r == 0)
		r = add_extension(root, root, NID_name_constraints, constraints);
	free(constraints);
	if (r == 0 && X509_sign(root, ca->key, EVP_sha256()) == 0)
		r = -EIO;
	return r;
}

static int make_root(struct sg_ca *ca, struct sg_error *error)
{
	int r;

	ca->key = EVP_EC_gen("P-256");
	ca->certificate = X509_new();
	r = ca->key && ca->certificate ? build_root(ca) : -ENOMEM;
	return r < 0 ? sg_error_set(error, r, "the CA can't be made: %s", strerror(-r)) : 0;
}

// ---- Files ----

static int write_pem(const char *path, BIO *bio, unsigned mode, struct sg_error *error)
{
	char *data;
	long length = BIO_get_mem_data(bio, &data);
	int r = length > 0 ? sg_fd_write_file(path, data, (size_t)length, mode) : -ENOMEM;

	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

static int store(const struct sg_ca *ca, const char *key_path, const char *certificate_path,
	struct sg_error *error)
{
	BIO *key = BIO_new(BIO_s_mem()), *certificate = BIO_new(BIO_s_mem());
	int r = -ENOMEM;

	if (key && certificate &&
		PEM_write_bio_PrivateKey(key, ca->key, NULL, NULL, 0, NULL, NULL) == 1 &&
		PEM_write_bio_X509(certificate, ca->certificate) == 1) {
		r = write_pem(key_path, key, 0600, error);
		if (r == 0)
			r = write_pem(certificate_path, certificate, 0644, error);
	} else {
		sg_error_set(error, r, "out of memory");
	}
	BIO_free(key);
	BIO_free(certificate);
	return r;
}

static BIO *read_pem(const char *path)
{
	char *data;
	size_t length;
	BIO *bio;

	if (sg_fd_read_file(path, KEY_LIMIT, &data, &length) < 0)
		return NULL;
	bio = BIO_new(BIO_s_mem());
	if (bio && BIO_write(bio, data, (int)length) != (int)length) {
		BIO_free(bio);
		bio = NULL;
	}
	OPENSSL_cleanse(data, length);
	free(data);
	return bio;
}

static bool load(struct sg_ca *ca, const char *key_path, const char *certificate_path)
{
	BIO *key = read_pem(key_path), *certificate = read_pem(certificate_path);

	if (key)
		ca->key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
	if (certificate)
		ca->certificate = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
	BIO_free(key);
	BIO_free(certificate);
	ERR_clear_error();
	return ca->key && ca->certificate && X509_check_private_key(ca->certificate, ca->key) == 1;
}

// Is each host permitted by name, so that the root on disk can serve?
static bool permits_all(const struct sg_ca *ca)
{
	NAME_CONSTRAINTS *constraints =
		X509_get_ext_d2i(ca->certificate, NID_name_constraints, NULL, NULL);
	bool all = constraints != NULL;

	for (char *const *host = ca->hosts; all && *host; host++) {
		bool found = false;

		for (int i = 0; i < sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees); i++) {
			const GENERAL_NAME *name =
				sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i)->base;

			if (name->type == GEN_DNS &&
				strcmp((const char *)ASN1_STRING_get0_data(name->d.dNSName),
					*host) == 0)
				found = true;
		}
		all = found;
	}
	NAME_CONSTRAINTS_free(constraints);
	return all;
}

static bool is_fresh(const struct sg_ca *ca)
{
	int days = 0, seconds = 0;

	return ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(ca->certificate)) == 1 &&
	       days > CA_RENEW_DAYS;
}

static void drop_key(struct sg_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->certificate);
	ca->key = NULL;
	ca->certificate = NULL;
}

static int load_or_make(struct sg_ca *ca, const char *directory, struct sg_error *error)
{
	char key_path[PATH_MAX], certificate_path[PATH_MAX];
	int r = sg_fd_make_directories(directory, 0755);

	if (r < 0)
		return sg_error_set(error, r, "%s: %s", directory, strerror(-r));
	snprintf(key_path, sizeof(key_path), "%s/ca.key", directory);
	snprintf(certificate_path, sizeof(certificate_path), "%s/ca.crt", directory);
	if (load(ca, key_path, certificate_path) && permits_all(ca) && is_fresh(ca))
		return 0;
	drop_key(ca);
	r = make_root(ca, error);
	if (r == 0)
		r = store(ca, key_path, certificate_path, error);
	if (r == 0)
		sg_log(SG_LOG_INFO, "ca_made", "path=%s", certificate_path);
	return r;
}

static int copy_hosts(struct sg_ca *ca, const char *const *hosts)
{
	size_t count = 0;

	while (hosts[count])
		count++;
	ca->hosts = calloc(count + 1, sizeof(*ca->hosts));
	if (!ca->hosts)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		ca->hosts[i] = strdup(hosts[i]);
		if (!ca->hosts[i])
			return -ENOMEM;
	}
	return 0;
}

int sg_ca_open(const char *directory, const char *const *hosts, struct sg_ca **ret_ca,
	struct sg_error *error)
{
	struct sg_ca *ca = calloc(1, sizeof(*ca));
	int length, r;

	if (!ca || copy_hosts(ca, hosts) < 0) {
		sg_ca_close(ca);
		return sg_error_set(error, -ENOMEM, "out of memory");
	}
	r = load_or_make(ca, directory, error);
	if (r == 0) {
		length = i2d_X509(ca->certificate, &ca->der);
		ca->der_length = length > 0 ? (size_t)length : 0;
		if (length <= 0)
			r = sg_error_set(error, -ENOMEM, "out of memory");
	}
	if (r < 0) {
		sg_ca_close(ca);
		return r;
	}
	*ret_ca = ca;
	return 0;
}

struct sg_ca *sg_ca_close(struct sg_ca *ca)
{
	if (!ca)
		return NULL;
	drop_key(ca);
	OPENSSL_free(ca->der);
	for (char **host = ca->hosts; host && *host; host++)
		free(*host);
	free(ca->hosts);
	free(ca);
	return NULL;
}

void sg_ca_certificate(const struct sg_ca *ca, const uint8_t **ret_der, size_t *ret_length)
{
	*ret_der = ca->der;
	*ret_length = ca->der_length;
}

// ---- Leaves ----

// The one string of an agent's that gets here: letters, digits, '-', '.', '_' only, and within the
// constraints.
static int check_host(const struct sg_ca *ca, const char *host)
{
	size_t length = strlen(host);

	if (!length || length > 253 ||
		strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != length)
		return -EINVAL;
	for (char *const *permitted = ca->hosts; *permitted; permitted++) {
		size_t tail = strlen(*permitted);

		if (strcmp(host, *permitted) == 0)
			return 0;
		if (length > tail + 1 && host[length - tail - 1] == '.' &&
			strcmp(host + length - tail, *permitted) == 0)
			return 0;
	}
	return -EACCES;
}

bool sg_ca_permits(const struct sg_ca *ca, const char *host)
{
	return check_host(ca, host) == 0;
}

static int build_leaf(struct sg_ca *ca, X509 *leaf, const char *host, EVP_PKEY *key)
{
	char alternative[270];
	int r = set_serial(leaf);

	snprintf(alternative, sizeof(alternative), "DNS:%s", host);
	if (r == 0)
		r = set_times(leaf, -CLOCK_SKEW_DAYS, LEAF_DAYS);
	if (r == 0)
		r = set_common_name(X509_get_subject_name(leaf), host);
	if (r == 0 &&
		(X509_set_version(leaf, X509_VERSION_3) != 1 || X509_set_pubkey(leaf, key) != 1 ||
			X509_set_issuer_name(leaf, X509_get_subject_name(ca->certificate)) != 1))
		r = -ENOMEM;
	if (r == 0)
		r = add_extension(
			leaf, ca->certificate, NID_basic_constraints, "critical,CA:FALSE");
	if (r == 0)
		r = add_extension(
			leaf, ca->certificate, NID_key_usage, "critical,digitalSignature");
	if (r == 0)
		r = add_extension(leaf, ca->certificate, NID_ext_key_usage, "serverAuth");
	if (r == 0)
		r = add_extension(leaf, ca->certificate, NID_subject_key_identifier, "hash");
	if (r == 0)
		r = add_extension(
			leaf, ca->certificate, NID_authority_key_identifier, "keyid:always");
	if (r == 0)
		r = add_extension(leaf, ca->certificate, NID_subject_alt_name, alternative);
	if (r == 0 && X509_sign(leaf, ca->key, EVP_sha256()) == 0)
		r = -EIO;
	return r;
}

int sg_ca_sign(struct sg_ca *ca, const char *host, const uint8_t *public_key,
	size_t public_key_length, uint8_t **ret_der, size_t *ret_length)
{
	EVP_PKEY *key = d2i_PUBKEY(NULL, &public_key, (long)public_key_length);
	X509 *leaf = X509_new();
	uint8_t *der = NULL;
	int r = check_host(ca, host), length;

	if (r == 0 && !key)
		r = -EINVAL;
	if (r == 0)
		r = leaf ? build_leaf(ca, leaf, host, key) : -ENOMEM;
	if (r == 0) {
		length = i2d_X509(leaf, &der);
		if (length > 0) {
			*ret_der = der;
			*ret_length = (size_t)length;
		} else {
			r = -ENOMEM;
		}
	}
	X509_free(leaf);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return r;
}
