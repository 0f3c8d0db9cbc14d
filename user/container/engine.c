// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0: the answer ends with the connection, and events come as lines.
#include "container/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

#define LIST_LIMIT (64u << 20)
#define HEAD_LIMIT 8192
#define LINE_LIMIT (1u << 20)

#define LIST_PATH "/containers/json"
#define EVENTS_PATH                                                                                \
	"/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%5D%" \
	"7D"

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	SG_CLEANUP_CLOSE int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return sg_fd_take(&fd);
}

static int send_request(int fd, const char *path)
{
	return dprintf(fd, "GET %s HTTP/1.0\r\nHost: docker\r\n\r\n", path) < 0 ? -errno : 0;
}

// Byte by byte, so that what follows stays in the socket. Returns 0, or -EPROTO with the status
// line in the sentence.
static int skip_head(int fd, struct sg_error *error)
{
	char head[HEAD_LIMIT];
	size_t length = 0;

	while (length < sizeof(head) - 1 && read(fd, head + length, 1) == 1) {
		head[++length] = 0;
		if (length < 4 || strcmp(head + length - 4, "\r\n\r\n") != 0)
			continue;
		if (strncmp(head, "HTTP/1.", 7) == 0 && strncmp(head + 8, " 200", 4) == 0)
			return 0;
		break;
	}
	head[length] = 0;
	return sg_error_set(
		error, -EPROTO, "the engine answers \"%.*s\"", (int)strcspn(head, "\r\n"), head);
}

static int open_answer(const char *socket_path, const char *path, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int fd = connect_to(socket_path);
	int r = fd < 0 ? fd : send_request(fd, path);

	if (r < 0)
		return sg_error_set(
			error, r, "the engine's socket %s: %s", socket_path, strerror(-r));
	r = skip_head(fd, error);
	return r < 0 ? r : sg_fd_take(&fd);
}

// ---- The list ----

static int visit_listed(const json_t *item, sg_engine_visit_fn visit, void *context)
{
	struct sg_engine_container container = {
		.id = json_string_value(json_object_get(item, "Id")),
		.name = json_string_value(json_array_get(json_object_get(item, "Names"), 0)),
		.labels = json_object_get(item, "Labels"),
	};

	if (!container.id)
		return 0;
	if (!container.name)
		container.name = "";
	container.name += *container.name == '/';
	return visit(context, &container);
}

int sg_engine_each(
	const char *socket_path, sg_engine_visit_fn visit, void *context, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int fd = open_answer(socket_path, LIST_PATH, error);
	char *text = NULL;
	size_t length, index;
	json_t *list, *item;
	int r = fd < 0 ? fd : sg_fd_read_all(fd, LIST_LIMIT, &text, &length);

	if (r < 0)
		return fd < 0 ? r : sg_error_set(error, r, "the engine: %s", strerror(-r));
	list = json_loadb(text, length, 0, NULL);
	free(text);
	if (!json_is_array(list))
		r = sg_error_set(error, -EPROTO, "the engine's list of containers is no JSON");
	json_array_foreach(list, index, item)
	{
		if (r == 0)
			r = visit_listed(item, visit, context);
	}
	json_decref(list);
	return r;
}

// ---- Events ----

int sg_engine_open_events(const char *socket_path, struct sg_error *error)
{
	return open_answer(socket_path, EVENTS_PATH, error);
}

static int visit_event(const char *line, size_t length, sg_engine_visit_fn visit, void *context)
{
	json_t *event = json_loadb(line, length, 0, NULL);
	const json_t *actor = json_object_get(event, "Actor");
	const json_t *attributes = json_object_get(actor, "Attributes");
	struct sg_engine_container container = {
		.id = json_string_value(json_object_get(actor, "ID")),
		.name = json_string_value(json_object_get(attributes, "name")),
		.labels = attributes,
	};
	int r = 0;

	if (!container.name)
		container.name = "";
	if (container.id)
		r = visit(context, &container);
	json_decref(event);
	return r;
}

// Visits whole lines and drops them.
static int take_lines(struct sg_buf *in, sg_engine_visit_fn visit, void *context)
{
	const uint8_t *end;
	int r = 0;

	while (r == 0 && sg_buf_length(in) &&
		(end = memchr(sg_buf_head(in), '\n', sg_buf_length(in)))) {
		size_t length = (size_t)(end - sg_buf_head(in));

		r = visit_event((const char *)sg_buf_head(in), length, visit, context);
		sg_buf_consume(in, length + 1);
	}
	return r;
}

int sg_engine_follow(int fd, sg_engine_visit_fn visit, void *context, struct sg_error *error)
{
	struct sg_buf in = { .limit = LINE_LIMIT };
	char chunk[4096];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : sg_buf_append(&in, chunk, (size_t)n);
		if (r < 0)
			sg_error_set(error, r, "the engine's events: %s", strerror(-r));
		else
			r = take_lines(&in, visit, context);
	}
	sg_buf_release(&in);
	return r;
}
