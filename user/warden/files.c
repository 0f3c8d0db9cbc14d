// SPDX-License-Identifier: Apache-2.0
#include "warden/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "budget/policy.h"
#include "warden/warden.h"

#define FILE_LIMIT (64u << 10)
#define RETRY_MS   1000
#define ROOT_EVENTS                                                                                \
	(IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF |     \
		IN_ONLYDIR)
#define FOLDER_EVENTS                                                                              \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF |   \
		IN_ONLYDIR | IN_DONT_FOLLOW)

// What is looked for in a directory: <root>/<agent>/<file>.
struct kind {
	const char *key; // of the configuration
	struct {
		const char *file, *layer;
	} files[2];
};

static const struct kind kinds[] = {
	{ "compiled", { { "metadata.json", "metadata" },
			      { "budget-override.json", "compiled_override" } } },
	{ "governance",
		{ { "budget.json", "governance" }, { "budget-override.json", "override" } } },
};

#define KIND_COUNT SG_ARRAY_SIZE(kinds)

// An agent's directory.
struct folder {
	struct folder *next;
	int wd;
	unsigned kind;
	char agent[SG_BUDGET_NAME_BYTES];
};

struct sg_files {
	struct sg_watch watch; // first
	struct sg_timer retry;
	struct sg_warden *warden;
	char *roots[KIND_COUNT];  // owned; NULL: not watched
	int root_wds[KIND_COUNT]; // -1: gone for now
	struct folder *folders;
};

// ---- Reading ----

static bool is_agent_name(const char *name)
{
	struct sg_error unused;

	return sg_name_check("agent", name, &unused) == 0;
}

// Links are not followed: whoever may write here must not have the warden read what only root may.
static int read_file(const char *folder, const char *name, char **ret_text, size_t *ret_length)
{
	SG_CLEANUP_CLOSE int directory =
		open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SG_CLEANUP_CLOSE int fd =
		directory < 0
			? -1
			: openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat file;

	if (fd < 0 || fstat(fd, &file) < 0)
		return -errno;
	if (!S_ISREG(file.st_mode))
		return -EINVAL;
	return sg_fd_read_all(fd, FILE_LIMIT, ret_text, ret_length);
}

static const char *problem_of(int r)
{
	switch (r) {
	case -ELOOP:
		return "is a symbolic link: those are not followed";
	case -EINVAL:
		return "is no regular file";
	case -EFBIG:
		return "is larger than 64 KiB";
	default:
		return strerror(-r);
	}
}

// One file as it is now, for message FILES.
static json_t *describe_file(
	const struct sg_files *files, unsigned kind, const char *agent, unsigned index)
{
	const char *name = kinds[kind].files[index].file;
	char folder[PATH_MAX], path[PATH_MAX + 64], *text = NULL;
	json_t *file, *content = NULL;
	size_t length = 0;
	int r;

	snprintf(folder, sizeof(folder), "%s/%s", files->roots[kind], agent);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = json_pack("{s:s, s:s, s:s}", "agent", agent, "layer", kinds[kind].files[index].layer,
		"path", path);
	r = read_file(folder, name, &text, &length);
	if (r == 0) {
		content = json_stringn(text, length);
		json_object_set_new(file, content ? "text" : "error",
			content ? content : json_string("is no UTF-8 text"));
	} else if (r != -ENOENT && r != -ENOTDIR) {
		json_object_set_new(file, "error", json_string(problem_of(r)));
	}
	free(text);
	return file;
}

static bool is_there(const json_t *file)
{
	return json_object_get(file, "text") || json_object_get(file, "error");
}

static void describe_folder(
	const struct sg_files *files, unsigned kind, const char *agent, json_t *list)
{
	for (unsigned i = 0; i < SG_ARRAY_SIZE(kinds[kind].files); i++)
		json_array_append_new(list, describe_file(files, kind, agent, i));
}

// ---- Watching ----

static struct folder **find_folder(struct sg_files *files, int wd)
{
	struct folder **at = &files->folders;

	while (*at && (*at)->wd != wd)
		at = &(*at)->next;
	return at;
}

static void forget_folder(struct folder **at)
{
	struct folder *folder = *at;

	*at = folder->next;
	free(folder);
}

static void watch_folder(struct sg_files *files, unsigned kind, const char *agent)
{
	char path[PATH_MAX];
	struct folder *folder;
	int wd;

	snprintf(path, sizeof(path), "%s/%s", files->roots[kind], agent);
	wd = inotify_add_watch(files->watch.fd, path, FOLDER_EVENTS);
	if (wd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			sg_log(SG_LOG_ERROR, "files",
				"path=%s reason=\"%s: its changes are not seen\"", path,
				errno == ENOSPC ? "fs.inotify.max_user_watches is reached"
						: strerror(errno));
		return;
	}
	folder = *find_folder(files, wd);
	if (!folder) {
		folder = calloc(1, sizeof(*folder));
		if (!folder)
			return;
		folder->wd = wd;
		folder->next = files->folders;
		files->folders = folder;
	}
	// The same directory again may have another name by now.
	folder->kind = kind;
	strcpy(folder->agent, agent);
}

// Watches a root and what is in it. Returns 0 or -errno.
static int scan(struct sg_files *files, unsigned kind, json_t *list)
{
	struct dirent *entry;
	DIR *entries;

	files->root_wds[kind] = inotify_add_watch(files->watch.fd, files->roots[kind], ROOT_EVENTS);
	entries = files->root_wds[kind] < 0 ? NULL : opendir(files->roots[kind]);
	if (!entries)
		return -errno;
	while ((entry = readdir(entries))) {
		if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
			!is_agent_name(entry->d_name))
			continue;
		watch_folder(files, kind, entry->d_name);
		describe_folder(files, kind, entry->d_name, list);
	}
	closedir(entries);
	return 0;
}

// ---- Telling ----

// Takes `list`.
static void tell(struct sg_files *files, bool complete, json_t *list)
{
	json_t *message = json_pack("{s:b, s:o}", "complete", complete, "files", list);
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	int fd = text ? sg_channel_memfd("spendgate-files", text, strlen(text)) : -ENOMEM;

	if (fd >= 0) {
		sg_enforcer_tell(files->warden, SG_CHANNEL_FILES, NULL, 0, &fd, 1);
		close(fd);
	} else {
		sg_log(SG_LOG_ERROR, "files", "reason=\"%s\"", strerror(-fd));
	}
	free(text);
	json_decref(message);
}

static void on_retry(struct sg_timer *timer)
{
	sg_files_tell_all((struct sg_files *)((char *)timer - offsetof(struct sg_files, retry)));
}

void sg_files_tell_all(struct sg_files *files)
{
	json_t *list = files ? json_array() : NULL;
	bool complete = true;

	if (!list)
		return;
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		int r = files->roots[i] ? scan(files, i, list) : 0;

		if (r == 0)
			continue;
		// Not "all files are gone": what was in force stays until it is back.
		complete = false;
		sg_log(SG_LOG_ERROR, "files",
			"path=%s reason=\"%s\" effect=\"what it said last stays in force\"",
			files->roots[i], strerror(-r));
		sg_loop_arm(files->warden->loop, &files->retry, RETRY_MS, on_retry);
	}
	for (size_t i = json_array_size(list); complete && i-- > 0;)
		if (!is_there(json_array_get(list, i)))
			json_array_remove(list, i);
	tell(files, complete, list);
}

// ---- Events ----

static int find_root(const struct sg_files *files, int wd)
{
	for (unsigned i = 0; i < KIND_COUNT; i++)
		if (files->roots[i] && files->root_wds[i] == wd)
			return (int)i;
	return -1;
}

// Returns whether everything must be read again.
static bool take_root_event(
	struct sg_files *files, unsigned kind, const struct inotify_event *event, json_t *list)
{
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
		inotify_rm_watch(files->watch.fd, event->wd);
		files->root_wds[kind] = -1;
		return true;
	}
	if (!event->len || !(event->mask & IN_ISDIR) || !is_agent_name(event->name))
		return false;
	if (event->mask & (IN_CREATE | IN_MOVED_TO))
		watch_folder(files, kind, event->name);
	describe_folder(files, kind, event->name, list);
	return false;
}

// A file that was just made is read when its writer closes it; a link has no such moment.
static bool is_unwritten(
	const struct sg_files *files, const struct folder *folder, const char *name)
{
	char path[PATH_MAX + 64];
	struct stat file;

	snprintf(path, sizeof(path), "%s/%s/%s", files->roots[folder->kind], folder->agent, name);
	return lstat(path, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 1;
}

static void take_folder_event(
	struct sg_files *files, const struct inotify_event *event, json_t *list)
{
	struct folder **at = find_folder(files, event->wd);
	const struct folder *folder = *at;

	if (!folder)
		return;
	if (event->mask & IN_IGNORED) {
		forget_folder(at);
		return;
	}
	if (!event->len || (event->mask & IN_CREATE && is_unwritten(files, folder, event->name)))
		return;
	for (unsigned i = 0; i < SG_ARRAY_SIZE(kinds[folder->kind].files); i++)
		if (strcmp(event->name, kinds[folder->kind].files[i].file) == 0)
			json_array_append_new(
				list, describe_file(files, folder->kind, folder->agent, i));
}

static void on_event(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_files *files = (struct sg_files *)watch;
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	json_t *list = json_array();
	bool again = false;
	ssize_t n;

	while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event =
				(const struct inotify_event *)(buffer + at);
			int kind = find_root(files, event->wd);

			again = again || event->mask & IN_Q_OVERFLOW;
			if (kind >= 0)
				again = take_root_event(files, (unsigned)kind, event, list) ||
					again;
			else
				take_folder_event(files, event, list);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
	if (!again && json_array_size(list)) {
		tell(files, false, list);
		return;
	}
	json_decref(list);
	if (again)
		sg_files_tell_all(files);
}

// ---- Life ----

static struct sg_files *free_files(struct sg_files *files)
{
	while (files->folders)
		forget_folder(&files->folders);
	for (unsigned i = 0; i < KIND_COUNT; i++)
		free(files->roots[i]);
	free(files);
	return NULL;
}

// What the configuration names. *ret_wanted: is there anything?
static int take_roots(struct sg_files *files, bool *ret_wanted, struct sg_error *error)
{
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		const char *path =
			json_string_value(json_object_get(files->warden->config, kinds[i].key));

		files->root_wds[i] = -1;
		if (!path)
			continue;
		if (access(path, R_OK | X_OK) < 0)
			return sg_error_set(
				error, -errno, "%s: %s: %s", kinds[i].key, path, strerror(errno));
		files->roots[i] = strdup(path);
		if (!files->roots[i])
			return sg_error_set(error, -ENOMEM, "out of memory");
		*ret_wanted = true;
	}
	return 0;
}

int sg_files_start(struct sg_warden *warden, struct sg_files **ret_files, struct sg_error *error)
{
	struct sg_files *files = calloc(1, sizeof(*files));
	bool wanted = false;
	int fd, r;

	if (!files)
		return sg_error_set(error, -ENOMEM, "out of memory");
	files->warden = warden;
	r = take_roots(files, &wanted, error);
	if (r < 0 || !wanted) {
		free_files(files);
		return r;
	}
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r = fd < 0 ? -errno : sg_loop_watch(warden->loop, &files->watch, fd, EPOLLIN, on_event);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		free_files(files);
		return sg_error_set(error, r, "inotify: %s", strerror(-r));
	}
	*ret_files = files;
	return 0;
}

struct sg_files *sg_files_stop(struct sg_files *files)
{
	int fd;

	if (!files)
		return NULL;
	fd = files->watch.fd;
	sg_loop_disarm(&files->retry);
	sg_loop_unwatch(files->warden->loop, &files->watch);
	close(fd);
	return free_files(files);
}
