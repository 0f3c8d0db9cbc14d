// SPDX-License-Identifier: Apache-2.0
#include "runc/trust.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/fd.h"
#include "runc/root.h"
#include "trust/variables.h"

#define BUNDLE_LIMIT (16u << 20)
#define DIGEST_BYTES 32

// Where the container finds the CA alone, and everything that it trusted with the CA.
#define CA_INSIDE     "/run/spendgate/ca.pem"
#define BUNDLE_INSIDE "/run/spendgate/bundle.pem"

// The first that is there is also what BUNDLE_INSIDE is made of.
static const char *const patterns[] = {
	"/etc/ssl/certs/ca-certificates.crt",		     // Debian, Alpine, Arch
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Red Hat
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/var/lib/ca-certificates/ca-bundle.pem", // SUSE
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
	"/etc/ssl/certs/ca-bundle.crt", // Nix
	"/usr/lib/ssl/cert.pem",
	"/usr/local/ssl/cert.pem",
	"/opt/*/ssl/cacert.pem", // conda
	"/usr/lib/python3*/site-packages/certifi/cacert.pem",
	"/usr/lib/python3/dist-packages/certifi/cacert.pem",
	"/usr/local/lib/python3*/site-packages/certifi/cacert.pem",
	"/usr/local/lib/python3*/dist-packages/certifi/cacert.pem",
	"/usr/local/lib/python3*/site-packages/pip/_vendor/certifi/cacert.pem",
	"/opt/*/lib/python3*/site-packages/certifi/cacert.pem",
	"/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/*/venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/*venv*/lib/python3*/site-packages/certifi/cacert.pem",
	"/root/.local/lib/python3*/site-packages/certifi/cacert.pem",
	"/home/*/.local/lib/python3*/site-packages/certifi/cacert.pem",
	"/home/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/home/*/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
	"/usr/src/*/.venv/lib/python3*/site-packages/certifi/cacert.pem",
};

struct trust {
	const char *run_directory;
	json_t *config;
	struct sg_root root;
	char *ca; // PEM
	size_t ca_length;
	char main_source[PATH_MAX]; // of the first bundle that was merged; "": none
	json_t *done;		    // paths that are merged already
	int result;
};

// ---- Parts of config.json ----

static int add_mount(json_t *config, const char *source, const char *destination)
{
	json_t *mounts = json_object_get(config, "mounts");
	json_t *mount = json_pack("{s:s, s:s, s:s, s:[s,s,s,s,s]}", "destination", destination,
		"type", "bind", "source", source, "options", "bind", "ro", "nosuid", "nodev",
		"rprivate");

	if (!mounts) {
		mounts = json_array();
		json_object_set_new(config, "mounts", mounts);
	}
	return json_array_append_new(mounts, mount) < 0 ? -ENOMEM : 0;
}

static const char *find_variable(const json_t *environment, const char *name)
{
	size_t index, length = strlen(name);
	json_t *item;

	json_array_foreach((json_t *)environment, index, item)
	{
		const char *text = json_string_value(item);

		if (text && strncmp(text, name, length) == 0 && text[length] == '=')
			return text + length + 1;
	}
	return NULL;
}

// ---- Merging ----

static int path_of_digest(const struct trust *trust, const struct sg_buf *merged, char *out)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * DIGEST_BYTES + 1];

	if (EVP_Digest(sg_buf_head(merged), sg_buf_length(merged), digest, NULL, EVP_sha256(),
		    NULL) != 1)
		return -ENOMEM;
	for (int i = 0; i < DIGEST_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return (size_t)snprintf(out, PATH_MAX, "%s/trust/merged/%s.pem", trust->run_directory,
		       hex) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

// Ours in front of theirs, whose bytes are not looked at: what they hold is up to the container's
// clients, as it was.
static int store_merged(
	const struct trust *trust, const char *theirs, size_t length, char *ret_source)
{
	char directory[PATH_MAX];
	struct sg_buf merged = { 0 };
	int r = sg_buf_append(&merged, trust->ca, trust->ca_length);

	if (r == 0)
		r = sg_buf_append(&merged, theirs, length);
	if (r == 0)
		r = path_of_digest(trust, &merged, ret_source);
	if (r == 0 && access(ret_source, F_OK) < 0) {
		snprintf(directory, sizeof(directory), "%s/trust/merged", trust->run_directory);
		r = sg_fd_make_directories(directory, 0755);
		if (r == 0)
			r = sg_fd_write_file(
				ret_source, sg_buf_head(&merged), sg_buf_length(&merged), 0644);
	}
	sg_buf_release(&merged);
	return r;
}

static void merge(void *context, const char *path)
{
	struct trust *trust = context;
	char inside[PATH_MAX], source[PATH_MAX];
	char *data;
	size_t length;

	if (trust->result < 0 ||
		sg_root_read(&trust->root, path, BUNDLE_LIMIT, inside, &data, &length) < 0)
		return;
	if (!json_object_get(trust->done, inside) && memmem(data, length, "-----BEGIN", 10)) {
		trust->result = store_merged(trust, data, length, source);
		if (trust->result == 0)
			trust->result = add_mount(trust->config, source, inside);
		if (trust->result == 0 && !trust->main_source[0])
			memcpy(trust->main_source, source, sizeof(source));
		json_object_set_new(trust->done, inside, json_true());
	}
	free(data);
}

// An image without certificates of its own gets the host's.
static int mount_own(struct trust *trust)
{
	char ca[PATH_MAX], bundle[PATH_MAX];
	int r;

	snprintf(ca, sizeof(ca), "%s/trust/ca.pem", trust->run_directory);
	snprintf(bundle, sizeof(bundle), "%s/trust/bundle.pem", trust->run_directory);
	r = add_mount(trust->config, ca, CA_INSIDE);
	return r < 0 ? r
		     : add_mount(trust->config, trust->main_source[0] ? trust->main_source : bundle,
			       BUNDLE_INSIDE);
}

// A variable that is set names a file that was merged; one that is not gets ours.
static int set_variables(struct trust *trust)
{
	json_t *process = json_object_get(trust->config, "process");
	json_t *environment = json_object_get(process, "env");

	if (!environment) {
		environment = json_array();
		json_object_set_new(process, "env", environment);
	}
	for (size_t i = 0; i < SG_TRUST_VARIABLES; i++) {
		const struct sg_trust_variable *variable = &sg_trust_variables[i];
		const char *theirs = find_variable(environment, variable->name);

		if (!theirs && json_array_append_new(environment,
				       json_sprintf("%s=%s", variable->name,
					       variable->additive ? CA_INSIDE : BUNDLE_INSIDE)) < 0)
			return -ENOMEM;
		if (theirs && *theirs == '/')
			merge(trust, theirs);
	}
	return trust->result;
}

static int apply(struct trust *trust)
{
	int r;

	for (size_t i = 0; i < SG_ARRAY_SIZE(patterns); i++)
		sg_root_each(&trust->root, patterns[i], merge, trust);
	r = trust->result;
	if (r == 0)
		r = mount_own(trust);
	return r < 0 ? r : set_variables(trust);
}

int sg_runc_trust(
	json_t *config, const char *bundle, const char *run_directory, struct sg_error *error)
{
	struct trust trust = { .run_directory = run_directory, .config = config, .root.fd = -1 };
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/trust/ca.pem", run_directory);
	r = sg_fd_read_file(path, BUNDLE_LIMIT, &trust.ca, &trust.ca_length);
	if (r < 0)
		return sg_error_set(
			error, r, "the certificate of spendgate, %s: %s", path, strerror(-r));
	trust.done = json_object();
	r = sg_root_open(config, bundle, &trust.root, error);
	if (r == 0) {
		r = apply(&trust);
		if (r < 0)
			sg_error_set(error, r, "certificates for the container in %s/trust: %s",
				run_directory, strerror(-r));
	}
	sg_root_close(&trust.root);
	json_decref(trust.done);
	free(trust.ca);
	return r;
}
