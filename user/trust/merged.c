// SPDX-License-Identifier: Apache-2.0
#include "trust/merged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/fd.h"

#define DIGEST_BYTES 32
#define KEPT_SECONDS 86400

static int path_of_parts(const char *run_directory, const void *ours, size_t ours_length,
	const void *theirs, size_t theirs_length, char *out)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * DIGEST_BYTES + 1];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
		    EVP_DigestUpdate(context, ours, ours_length) == 1 &&
		    EVP_DigestUpdate(context, theirs, theirs_length) == 1 &&
		    EVP_DigestFinal_ex(context, digest, NULL) == 1;

	EVP_MD_CTX_free(context);
	if (!good)
		return -ENOMEM;
	for (int i = 0; i < DIGEST_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return (size_t)snprintf(out, PATH_MAX, "%s/trust/merged/%s.pem", run_directory, hex) <
			       PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

int sg_merged_find(const char *run_directory, const void *ours, size_t ours_length,
	const void *theirs, size_t theirs_length, char *ret_path)
{
	int r = path_of_parts(run_directory, ours, ours_length, theirs, theirs_length, ret_path);

	if (r < 0)
		return r;
	return utimensat(AT_FDCWD, ret_path, NULL, 0) == 0 || access(ret_path, F_OK) == 0;
}

static void remove_unused(const char *directory)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;
	struct stat status;

	while (entries && (entry = readdir(entries)))
		if (entry->d_name[0] != '.' &&
			fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			status.st_mtime + KEPT_SECONDS < time(NULL))
			unlinkat(dirfd(entries), entry->d_name, 0);
	if (entries)
		closedir(entries);
}

int sg_merged_store(const char *run_directory, const char *path, const struct sg_buf *text)
{
	char directory[PATH_MAX];
	int r;

	snprintf(directory, sizeof(directory), "%s/trust/merged", run_directory);
	r = sg_fd_make_directories(directory, 0755);
	if (r < 0)
		return r;
	remove_unused(directory);
	return sg_fd_replace_file(path, sg_buf_head(text), sg_buf_length(text), 0644);
}
