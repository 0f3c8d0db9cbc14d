// SPDX-License-Identifier: Apache-2.0
#include "trust/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

// Of one pattern: an image with more would be made to cost time.
#define MATCHES_LIMIT 64

int sg_root_open(
	const json_t *config, const char *bundle, struct sg_root *ret_root, struct sg_error *error)
{
	const char *root =
		json_string_value(json_object_get(json_object_get(config, "root"), "path"));
	char path[PATH_MAX];

	if (!root)
		return sg_error_set(error, -EINVAL, "%s/config.json: root.path is missing", bundle);
	if (*root == '/')
		snprintf(path, sizeof(path), "%s", root);
	else
		snprintf(path, sizeof(path), "%s/%s", bundle, root);
	ret_root->mounts = json_object_get(config, "mounts");
	ret_root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ret_root->fd < 0 ? sg_error_set(error, -errno, "%s: %s", path, strerror(errno)) : 0;
}

void sg_root_close(struct sg_root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	root->fd = -1;
}

// No link leads out, and none to another process's files (/proc/self/...).
static int open_inside(int directory_fd, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, directory_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

// The path of `fd` below `directory_fd`, as "/etc/ssl/cert.pem".
static int path_below(int directory_fd, int fd, char *out)
{
	char above[PATH_MAX], whole[PATH_MAX] = "";
	size_t length;
	int r = sg_fd_path(directory_fd, above, sizeof(above));

	if (r == 0)
		r = sg_fd_path(fd, whole, sizeof(whole));
	if (r < 0)
		return r;
	length = strcmp(above, "/") == 0 ? 0 : strlen(above); // in a namespace of its own
	if (strncmp(whole, above, length) != 0 || whole[length] != '/')
		return -EXDEV;
	memmove(out, whole + length, strlen(whole + length) + 1);
	return 0;
}

// Of a path (O_PATH): an image may have the node of a device there, which to open alone does
// something (rewinds, starts a watchdog).
static int read_regular(int path_fd, size_t limit, char **ret_data, size_t *ret_length)
{
	struct stat status;
	char path[64];

	if (fstat(path_fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	return sg_fd_read_file(path, limit, ret_data, ret_length);
}

static bool is_below(const char *path, const char *directory, size_t length)
{
	return strncmp(path, directory, length) == 0 && (!path[length] || path[length] == '/');
}

// The innermost mount over `path`, or NULL. The last of the list lies on top.
static const json_t *mount_over(const struct sg_root *root, const char *path, size_t *ret_length)
{
	const json_t *found = NULL;
	size_t index;
	json_t *item;

	*ret_length = 0;
	json_array_foreach((json_t *)root->mounts, index, item)
	{
		const char *at = json_string_value(json_object_get(item, "destination"));
		size_t length = at ? strlen(at) : 0;

		while (length > 1 && at[length - 1] == '/')
			length--;
		if (length > 1 && length >= *ret_length && is_below(path, at, length)) {
			found = item;
			*ret_length = length;
		}
	}
	return found;
}

// A file in or at a bind mount's source. The path that the container knows it by stays that of the
// mount.
static int open_mounted(const json_t *mount, const char *rest)
{
	const char *source = json_string_value(json_object_get(mount, "source"));
	const char *type = json_string_value(json_object_get(mount, "type"));
	SG_CLEANUP_CLOSE int fd = -1;

	if (!source || *source != '/' || (type && strcmp(type, "bind") != 0))
		return -ENOENT; // a file system that is empty, or no file system at all
	fd = open(source, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return *rest ? open_inside(fd, rest, O_PATH) : sg_fd_take(&fd);
}

int sg_root_read(const struct sg_root *root, const char *path, size_t limit, char *ret_path,
	char **ret_data, size_t *ret_length)
{
	SG_CLEANUP_CLOSE int fd = -1;
	const json_t *mount;
	size_t length;
	int r;

	mount = mount_over(root, path, &length);
	if (!mount) {
		fd = open_inside(root->fd, path, O_PATH);
		r = fd < 0 ? fd : path_below(root->fd, fd, ret_path);
		if (r < 0)
			return r;
		mount = mount_over(root, ret_path, &length);
	} else if ((size_t)snprintf(ret_path, PATH_MAX, "%s", path) >= PATH_MAX) {
		return -ENAMETOOLONG;
	}
	if (mount) {
		if (fd >= 0)
			close(fd);
		fd = open_mounted(mount, ret_path + length);
	}
	return fd < 0 ? fd : read_regular(fd, limit, ret_data, ret_length);
}

// ---- Patterns ----

struct search {
	const struct sg_root *root;
	sg_root_visit_fn visit;
	void *context;
	unsigned matches;
};

static void search_below(struct search *search, const char *prefix, const char *pattern);

// `name` matched the first part of the pattern; `rest` is what follows, with its '/'.
static void go_on(struct search *search, const char *prefix, const char *name, const char *rest)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", prefix, name) >= sizeof(path))
		return;
	if (*rest)
		search_below(search, path, rest + 1);
	else
		search->visit(search->context, path);
}

static void search_directory(
	struct search *search, const char *prefix, const char *part, const char *rest)
{
	int fd = open_inside(search->root->fd, *prefix ? prefix : "/", O_RDONLY | O_DIRECTORY);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (entries && search->matches < MATCHES_LIMIT && (entry = readdir(entries))) {
		if (entry->d_name[0] == '.' || fnmatch(part, entry->d_name, 0) != 0)
			continue;
		search->matches++;
		go_on(search, prefix, entry->d_name, rest);
	}
	if (entries)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the pattern has parts
static void search_below(struct search *search, const char *prefix, const char *pattern)
{
	size_t length = strcspn(pattern, "/");
	char part[NAME_MAX + 1];

	if (length >= sizeof(part))
		return;
	memcpy(part, pattern, length);
	part[length] = 0;
	if (strchr(part, '*'))
		search_directory(search, prefix, part, pattern + length);
	else
		go_on(search, prefix, part, pattern + length);
}

void sg_root_each(
	const struct sg_root *root, const char *pattern, sg_root_visit_fn visit, void *context)
{
	struct search search = { .root = root, .visit = visit, .context = context };

	search_below(&search, "", pattern + (*pattern == '/'));
}
