// SPDX-License-Identifier: Apache-2.0
#include "trust/merged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// The digest itself, as OpenSSL had it before 3.0: the other way starts all of the library (its
// configuration file, its providers), which takes longer than a container's files.
#define OPENSSL_API_COMPAT 0x10100000L
#include <openssl/sha.h>

#include "base/fd.h"

#define KEPT_SECONDS 86400

static int path_of_parts(const char *run_directory, const void *ours, size_t ours_length,
	const void *theirs, size_t theirs_length, char *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[2 * SHA256_DIGEST_LENGTH + 1];
	SHA256_CTX context;

	if (SHA256_Init(&context) != 1 || SHA256_Update(&context, ours, ours_length) != 1 ||
		SHA256_Update(&context, theirs, theirs_length) != 1 ||
		SHA256_Final(digest, &context) != 1)
		return -EINVAL;
	for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
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
