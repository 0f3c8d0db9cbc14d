// SPDX-License-Identifier: Apache-2.0
#include "warden/warden.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "trust/certificates.h"

// Where distributions keep the certificates that OpenSSL programs trust.
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

void sg_trust_forget(const struct sg_warden *warden, uint32_t agent_id)
{
	char directory[PATH_MAX], path[2 * PATH_MAX];
	struct dirent *entry;
	DIR *entries;

	snprintf(
		directory, sizeof(directory), "%s/trust/agent-%u", warden->run_directory, agent_id);
	entries = opendir(directory);
	while (entries && (entry = readdir(entries))) {
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (entry->d_name[0] != '.' && unlink(path) < 0)
			sg_log(SG_LOG_WARN, "trust", "path=%s reason=\"%s\"", path,
				strerror(errno));
	}
	if (!entries)
		return;
	closedir(entries);
	if (rmdir(directory) < 0)
		sg_log(SG_LOG_WARN, "trust", "path=%s reason=\"%s\"", directory, strerror(errno));
}

int sg_trust_write(const struct sg_warden *warden, struct sg_error *error)
{
	char certificate[PATH_MAX], directory[PATH_MAX - 32], path[PATH_MAX];
	struct sg_buf bundle = { 0 };
	int r;

	snprintf(certificate, sizeof(certificate), "%s/ca/ca.crt", warden->state_directory);
	snprintf(directory, sizeof(directory), "%s/trust", warden->run_directory);
	r = sg_fd_make_directories(directory, 0755);
	if (r == 0)
		r = sg_certificates_append_file(&bundle, certificate);
	if (r == 0)
		r = -EBADMSG;
	snprintf(path, sizeof(path), "%s/ca.pem", directory);
	if (r > 0)
		r = sg_fd_write_file(path, sg_buf_head(&bundle), sg_buf_length(&bundle), 0644);
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(bundles); i++)
		if (sg_certificates_append_file(&bundle, bundles[i]) > 0)
			break;
	snprintf(path, sizeof(path), "%s/bundle.pem", directory);
	if (r == 0)
		r = sg_fd_write_file(path, sg_buf_head(&bundle), sg_buf_length(&bundle), 0644);
	sg_buf_release(&bundle);
	return r < 0 ? sg_error_set(error, r, "%s: %s", directory, strerror(-r)) : 0;
}
