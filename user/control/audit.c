// SPDX-License-Identifier: Apache-2.0
#include "control/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define MAX_WAITING 4096
#define TAIL_BYTES  (4u << 20)

struct line {
	struct line *next;
	size_t length;
	char text[];
};

struct sg_audit {
	char path[PATH_MAX];
	int fd;	     // the writer's; -1: to be opened
	bool failed; // said once
	pthread_t thread;
	pthread_mutex_t lock; // of what follows
	pthread_cond_t more, idle;
	struct line *first, **last;
	size_t waiting;
	size_t lost;
	bool busy, stop;
};

// ---- The writer ----

// Whoever rotates logs has moved the file, or taken it away.
static bool was_rotated(const struct sg_audit *audit)
{
	struct stat ours, there;

	return fstat(audit->fd, &ours) < 0 || stat(audit->path, &there) < 0 ||
	       ours.st_ino != there.st_ino || ours.st_dev != there.st_dev;
}

static int put(struct sg_audit *audit, const struct line *line)
{
	if (audit->fd >= 0 && was_rotated(audit)) {
		close(audit->fd);
		audit->fd = -1;
	}
	if (audit->fd < 0)
		audit->fd = open(
			audit->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (audit->fd < 0)
		return -errno;
	if (write(audit->fd, line->text, line->length) != (ssize_t)line->length)
		return errno ? -errno : -EIO;
	return 0;
}

static void put_all(struct sg_audit *audit, struct line *line)
{
	struct line *next;

	for (; line; line = next) {
		int r = put(audit, line);

		if (r < 0 && !audit->failed)
			sg_log(SG_LOG_ERROR, "audit_failed", "path=%s reason=\"%s\"", audit->path,
				strerror(-r));
		audit->failed = r < 0;
		next = line->next;
		free(line);
	}
}

static struct line *make_line(const char *event, json_t *fields)
{
	char at[32], *text;
	json_t *record;
	struct line *line = NULL;
	size_t length;

	sg_clock_format(sg_clock_wall_ns(), at, sizeof(at));
	record = json_pack("{s:s, s:s}", "at", at, "event", event);
	text = record && json_object_update(record, fields) == 0 ? json_dumps(record, JSON_COMPACT)
								 : NULL;
	length = text ? strlen(text) : 0;
	if (text)
		line = malloc(sizeof(*line) + length + 1);
	if (line) {
		memcpy(line->text, text, length);
		line->text[length] = '\n';
		line->length = length + 1;
		line->next = NULL;
	}
	free(text);
	json_decref(record);
	return line;
}

// Locked. The whole queue, and before it what was lost.
static struct line *take_queue(struct sg_audit *audit)
{
	struct line *first = audit->first;
	json_t *fields;

	if (audit->lost) {
		struct line *note;

		fields = json_pack("{s:I}", "count", (json_int_t)audit->lost);
		note = fields ? make_line("audit_lost", fields) : NULL;
		json_decref(fields);
		if (note) {
			note->next = first;
			first = note;
			audit->lost = 0;
		}
	}
	audit->first = NULL;
	audit->last = &audit->first;
	audit->waiting = 0;
	return first;
}

static void *write_lines(void *context)
{
	struct sg_audit *audit = context;

	pthread_mutex_lock(&audit->lock);
	while (audit->first || !audit->stop) {
		struct line *queue;

		if (!audit->first) {
			pthread_cond_wait(&audit->more, &audit->lock);
			continue;
		}
		queue = take_queue(audit);
		audit->busy = true;
		pthread_mutex_unlock(&audit->lock);
		put_all(audit, queue);
		pthread_mutex_lock(&audit->lock);
		audit->busy = false;
		pthread_cond_broadcast(&audit->idle);
	}
	pthread_mutex_unlock(&audit->lock);
	return NULL;
}

// ---- Life ----

int sg_audit_open(const char *path, struct sg_audit **ret_audit)
{
	struct sg_audit *audit = calloc(1, sizeof(*audit));
	int r;

	if (!audit)
		return -ENOMEM;
	if (strlen(path) >= sizeof(audit->path)) {
		free(audit);
		return -ENAMETOOLONG;
	}
	strcpy(audit->path, path);
	audit->fd = -1;
	audit->last = &audit->first;
	pthread_mutex_init(&audit->lock, NULL);
	pthread_cond_init(&audit->more, NULL);
	pthread_cond_init(&audit->idle, NULL);
	r = -pthread_create(&audit->thread, NULL, write_lines, audit);
	if (r < 0) {
		free(audit);
		return r;
	}
	*ret_audit = audit;
	return 0;
}

struct sg_audit *sg_audit_close(struct sg_audit *audit)
{
	if (!audit)
		return NULL;
	pthread_mutex_lock(&audit->lock);
	audit->stop = true;
	pthread_cond_signal(&audit->more);
	pthread_mutex_unlock(&audit->lock);
	pthread_join(audit->thread, NULL);
	if (audit->fd >= 0)
		close(audit->fd);
	pthread_cond_destroy(&audit->idle);
	pthread_cond_destroy(&audit->more);
	pthread_mutex_destroy(&audit->lock);
	free(audit);
	return NULL;
}

// ---- Lines ----

void sg_audit_write(struct sg_audit *audit, const char *event, bool must_keep, json_t *fields)
{
	struct line *line = fields ? make_line(event, fields) : NULL;

	json_decref(fields);
	pthread_mutex_lock(&audit->lock);
	if (!line || (audit->waiting >= MAX_WAITING && !must_keep)) {
		audit->lost++;
		free(line);
	} else {
		*audit->last = line;
		audit->last = &line->next;
		audit->waiting++;
		pthread_cond_signal(&audit->more);
	}
	pthread_mutex_unlock(&audit->lock);
	if (!line)
		sg_log(SG_LOG_ERROR, "audit_failed", "reason=\"out of memory\" lost=%s", event);
}

void sg_audit_flush(struct sg_audit *audit)
{
	pthread_mutex_lock(&audit->lock);
	while (audit->first || audit->busy)
		pthread_cond_wait(&audit->idle, &audit->lock);
	pthread_mutex_unlock(&audit->lock);
}

// ---- Reading ----

// The end of the file, from the start of a line on.
static int read_end(const char *path, char **ret_text, size_t *ret_length)
{
	SG_CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	off_t start = size > (off_t)TAIL_BYTES ? size - (off_t)TAIL_BYTES : 0;
	int r;

	if (size < 0 || lseek(fd, start, SEEK_SET) < 0)
		return -errno;
	r = sg_fd_read_all(fd, 2 * TAIL_BYTES, ret_text, ret_length);
	if (r == 0 && start) {
		char *line = memchr(*ret_text, '\n', *ret_length);
		size_t cut = line ? (size_t)(line + 1 - *ret_text) : *ret_length;

		memmove(*ret_text, *ret_text + cut, *ret_length - cut);
		*ret_length -= cut;
	}
	return r;
}

json_t *sg_audit_tail(struct sg_audit *audit, size_t count, const char *agent)
{
	json_t *lines = json_array();
	char *text = NULL, *end;
	size_t length = 0;

	sg_audit_flush(audit);
	if (!lines || read_end(audit->path, &text, &length) < 0)
		return lines;
	for (end = text + length; end > text && json_array_size(lines) < count;) {
		char *start = memrchr(text, '\n', (size_t)(end - 1 - text));
		json_t *record;
		const char *of;

		start = start ? start + 1 : text;
		record = json_loadb(start, (size_t)(end - start), 0, NULL);
		of = json_string_value(json_object_get(record, "agent"));
		if (record && (!agent || (of && strcmp(of, agent) == 0)))
			json_array_insert(lines, 0, record);
		json_decref(record);
		end = start;
	}
	free(text);
	return lines;
}
