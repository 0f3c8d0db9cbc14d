// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int sg_fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

// Whatever size the file claims: those of /proc claim 0.
int sg_fd_read_all(int fd, size_t limit, char **ret_data, size_t *ret_length)
{
	size_t length = 0, capacity = 4096;
	char *data = malloc(capacity + 1), *larger;
	ssize_t n;

	if (!data)
		return -ENOMEM;
	while ((n = read(fd, data + length, capacity - length)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			free(data);
			return (int)n;
		}
		length += (size_t)n;
		if (length > limit) {
			free(data);
			return -EFBIG;
		}
		if (length == capacity) {
			capacity *= 2;
			larger = realloc(data, capacity + 1);
			if (!larger) {
				free(data);
				return -ENOMEM;
			}
			data = larger;
		}
	}
	data[length] = 0;
	*ret_data = data;
	*ret_length = length;
	return 0;
}

int sg_fd_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_length)
{
	SG_CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return sg_fd_read_all(fd, limit, ret_data, ret_length);
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

static int write_renamed(
	const char *path, const void *data, size_t length, unsigned mode, bool lasting)
{
	char temporary[PATH_MAX];
	SG_CLEANUP_CLOSE int fd = -1;
	int r;

	r = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	if (r >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, length);
	if (r == 0 &&
		(fchmod(fd, mode) < 0 || (lasting && fsync(fd) < 0) || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

int sg_fd_write_file(const char *path, const void *data, size_t length, unsigned mode)
{
	return write_renamed(path, data, length, mode, true);
}

int sg_fd_replace_file(const char *path, const void *data, size_t length, unsigned mode)
{
	return write_renamed(path, data, length, mode, false);
}

static int read_link(const char *link, char *out, size_t size)
{
	ssize_t length = readlink(link, out, size);

	if (length < 0)
		return -errno;
	if ((size_t)length >= size)
		return -ENAMETOOLONG;
	out[length] = 0;
	return 0;
}

int sg_fd_path(int fd, char *out, size_t size)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return read_link(link, out, size);
}

int sg_fd_own_program(char *out, size_t size)
{
	return read_link("/proc/self/exe", out, size);
}

int sg_fd_program_beside(const char *name, char *out, size_t size)
{
	int r = sg_fd_own_program(out, size);
	char *slash = r < 0 ? NULL : strrchr(out, '/');
	size_t left;

	if (!slash)
		return r < 0 ? r : -ENOENT;
	left = size - (size_t)(slash + 1 - out);
	return (size_t)snprintf(slash + 1, left, "%s", name) < left ? 0 : -ENAMETOOLONG;
}

int sg_fd_make_directories(const char *path, unsigned mode)
{
	char partial[PATH_MAX];
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof(partial))
		return -ENAMETOOLONG;
	memcpy(partial, path, length + 1);
	for (char *p = partial + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (mkdir(partial, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = c;
		if (!c)
			return 0;
	}
}

int sg_fd_fill_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); // passed on to commands, as those that were open
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}
