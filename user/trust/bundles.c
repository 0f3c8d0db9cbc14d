// SPDX-License-Identifier: Apache-2.0
#include "trust/bundles.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/fd.h"
#include "trust/certificates.h"
#include "trust/keystore.h"
#include "trust/merged.h"

// Of all files of one container: an image with more would be made to cost time and memory.
#define READ_LIMIT  (64u << 20)
#define FILES_LIMIT 128

// The first that is there is also what SG_BUNDLES_BUNDLE is made of.
static const char *const patterns[] = {
	"/etc/ssl/certs/ca-certificates.crt",		     // Debian, Alpine, Arch
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Red Hat
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/var/lib/ca-certificates/ca-bundle.pem", // SUSE
	"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	"/etc/ssl/certs/ca-bundle.crt", // Nix
	"/usr/lib/ssl/cert.pem", "/usr/local/ssl/cert.pem",
	"/opt/*/ssl/cacert.pem", // conda
	"/opt/*/ssl/cert.pem", "/opt/*/envs/*/ssl/cacert.pem",
	"/usr/lib/python3*/site-packages/certifi/cacert.pem",
	"/usr/lib/python3/dist-packages/certifi/cacert.pem",
	"/usr/local/lib/python3*/site-packages/certifi/cacert.pem",
	"/usr/local/lib/python3*/dist-packages/certifi/cacert.pem",
	"/usr/local/lib/python3*/site-packages/pip/_vendor/certifi/cacert.pem",
	"/opt/*/lib/python3*/site-packages/certifi/cacert.pem",
	"/opt/*/envs/*/lib/python3*/site-packages/certifi/cacert.pem",
	"/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/*/venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/*venv*/lib/python3*/site-packages/certifi/cacert.pem",
	"/root/.local/lib/python3*/site-packages/certifi/cacert.pem",
	"/home/*/.local/lib/python3*/site-packages/certifi/cacert.pem",
	"/home/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/home/*/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/usr/src/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/etc/ssl/certs/java/cacerts",		    // Debian, Alpine
	"/etc/pki/ca-trust/extracted/java/cacerts", // Red Hat
	"/etc/pki/java/cacerts",
	"/var/lib/ca-certificates/java-cacerts", // SUSE
	"/usr/lib/jvm/*/lib/security/cacerts", "/usr/lib/jvm/*/jre/lib/security/cacerts",
	"/usr/java/*/lib/security/cacerts", "/usr/local/openjdk-*/lib/security/cacerts",
	"/opt/*/lib/security/cacerts",
	"/opt/*/*/lib/security/cacerts", // Temurin: /opt/java/openjdk
};

// ---- The CA ----

// Only for a file that is merged for the first time: OpenSSL takes longer to start than all the
// rest.
static int encode_ca(struct sg_bundles *bundles)
{
	BIO *text;
	X509 *certificate;

	if (bundles->ca_der)
		return 0;
	text = BIO_new_mem_buf(bundles->ca, (int)bundles->ca_length);
	certificate = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
	if (certificate)
		bundles->ca_der_length = i2d_X509(certificate, &bundles->ca_der);
	X509_free(certificate);
	BIO_free(text);
	return bundles->ca_der_length > 0 ? 0 : -EBADMSG;
}

int sg_bundles_open(struct sg_bundles *bundles, struct sg_error *error)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/trust/ca.pem", bundles->run_directory);
	r = sg_fd_read_file(path, SG_CERTIFICATES_LIMIT, &bundles->ca, &bundles->ca_length);
	bundles->done = json_object();
	if (r == 0 && !bundles->done)
		r = -ENOMEM;
	return r < 0 ? sg_error_set(
			       error, r, "the certificate of spendgate, %s: %s", path, strerror(-r))
		     : 0;
}

void sg_bundles_close(struct sg_bundles *bundles)
{
	json_decref(bundles->done);
	OPENSSL_free(bundles->ca_der);
	free(bundles->ca);
	bundles->done = NULL;
	bundles->ca_der = NULL;
	bundles->ca = NULL;
}

// ---- Merging ----

static bool has(const char *data, size_t length, const void *part, size_t part_length)
{
	return memmem(data, length, part, part_length) != NULL;
}

// Appends ours and theirs. Returns 1, 0: nothing in it that a client could trust, or us already, or
// -errno.
static int combine(
	struct sg_bundles *bundles, const char *theirs, size_t length, struct sg_buf *merged)
{
	int r = encode_ca(bundles);

	if (r < 0)
		return r;
	if (has(theirs, length, bundles->ca, bundles->ca_length) ||
		has(theirs, length, bundles->ca_der, (size_t)bundles->ca_der_length))
		return 0;
	if (sg_keystore_is(theirs, length)) {
		r = sg_keystore_add(
			merged, theirs, length, bundles->ca_der, (size_t)bundles->ca_der_length);
		// A store of another kind than expected is left as it is: its client will not trust
		// us, and say so.
		return r == -EBADMSG || r == -EACCES ? 0 : r < 0 ? r : 1;
	}
	r = sg_buf_append(merged, bundles->ca, bundles->ca_length);
	if (r == 0)
		r = sg_certificates_append(merged, theirs, length);
	return r > 0 ? 1 : r;
}

// Returns 1 with a merged file at `source`, 0 or -errno as combine().
static int make(struct sg_bundles *bundles, const char *theirs, size_t length, char *ret_source)
{
	struct sg_buf merged = { 0 };
	int r = sg_merged_find(bundles->run_directory, bundles->ca, bundles->ca_length, theirs,
		length, ret_source);

	if (r != 0)
		return r;
	r = combine(bundles, theirs, length, &merged);
	if (r == 1) {
		r = sg_merged_store(bundles->run_directory, ret_source, &merged);
		r = r < 0 ? r : 1;
	}
	sg_buf_release(&merged);
	return r;
}

static int put_over(
	struct sg_bundles *bundles, const char *inside, const char *theirs, size_t length)
{
	char source[PATH_MAX];
	int r = make(bundles, theirs, length, source);

	if (r <= 0)
		return r;
	if (!bundles->main_source[0] && !sg_keystore_is(theirs, length))
		memcpy(bundles->main_source, source, sizeof(source));
	return bundles->mount(bundles->context, source, inside);
}

int sg_bundles_merge(struct sg_bundles *bundles, const char *path)
{
	char inside[PATH_MAX];
	char *data;
	size_t length;
	int r = 0;

	if (bundles->read_bytes > READ_LIMIT || json_object_size(bundles->done) >= FILES_LIMIT ||
		sg_root_read(bundles->root, path, SG_CERTIFICATES_LIMIT, inside, &data, &length) <
			0)
		return 0;
	bundles->read_bytes += length;
	if (!json_object_get(bundles->done, inside)) {
		r = put_over(bundles, inside, data, length);
		if (json_object_set_new(bundles->done, inside, json_true()) < 0)
			r = -ENOMEM;
	}
	free(data);
	return r;
}

static void visit(void *context, const char *path)
{
	struct sg_bundles *bundles = context;

	if (bundles->result == 0)
		bundles->result = sg_bundles_merge(bundles, path);
}

int sg_bundles_merge_usual(struct sg_bundles *bundles)
{
	bundles->result = 0;
	for (size_t i = 0; i < SG_ARRAY_SIZE(patterns); i++)
		sg_root_each(bundles->root, patterns[i], visit, bundles);
	return bundles->result;
}

int sg_bundles_mount_own(struct sg_bundles *bundles)
{
	char ca[PATH_MAX], bundle[PATH_MAX];
	int r;

	snprintf(ca, sizeof(ca), "%s/trust/ca.pem", bundles->run_directory);
	snprintf(bundle, sizeof(bundle), "%s/trust/bundle.pem", bundles->run_directory);
	r = bundles->mount(bundles->context, ca, SG_BUNDLES_CA);
	return r < 0 ? r
		     : bundles->mount(bundles->context,
			       bundles->main_source[0] ? bundles->main_source : bundle,
			       SG_BUNDLES_BUNDLE);
}
