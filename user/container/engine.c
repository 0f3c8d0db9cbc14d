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

#define LIST_PATH	"/containers/json"
#define LIST_PATH_OF_ID "/containers/json?filters=%%7B%%22id%%22%%3A%%5B%%22%.64s%%22%%5D%%7D"
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

// Asks for a document. Returns 0 or -errno with the sentence.
static int get(
	const char *socket_path, const char *path, json_t **ret_document, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int fd = open_answer(socket_path, path, error);
	char *text = NULL;
	size_t length;
	int r;

	if (fd < 0)
		return fd;
	r = sg_fd_read_all(fd, LIST_LIMIT, &text, &length);
	if (r < 0)
		return sg_error_set(error, r, "the engine: %s", strerror(-r));
	*ret_document = json_loadb(text, length, 0, NULL);
	free(text);
	return *ret_document
		       ? 0
		       : sg_error_set(error, -EPROTO, "the engine's answer to %s is no JSON", path);
}

int sg_engine_each(
	const char *socket_path, sg_engine_visit_fn visit, void *context, struct sg_error *error)
{
	json_t *list = NULL, *item;
	size_t index;
	int r = get(socket_path, LIST_PATH, &list, error);

	json_array_foreach(list, index, item)
	{
		if (r == 0)
			r = visit_listed(item, visit, context);
	}
	json_decref(list);
	return r;
}

// ---- Images ----

// Where the engine shows the image of a container.
static int find_image(
	const char *socket_path, const char *id, char *out, size_t size, struct sg_error *error)
{
	json_t *list = NULL;
	const char *image;
	char path[256];
	int r;

	snprintf(path, sizeof(path), LIST_PATH_OF_ID, id);
	r = get(socket_path, path, &list, error);
	if (r < 0)
		return r;
	image = json_string_value(json_object_get(json_array_get(list, 0), "ImageID"));
	if (json_array_size(list) != 1 || !image)
		r = sg_error_set(error, -ENOENT, "%.64s does not run", id);
	else
		snprintf(out, size, "/images/%.128s/json", image);
	json_decref(list);
	return r;
}

int sg_engine_image_labels(
	const char *socket_path, const char *id, json_t **ret_labels, struct sg_error *error)
{
	json_t *image = NULL, *labels;
	char path[256];
	int r = find_image(socket_path, id, path, sizeof(path), error);

	if (r == 0)
		r = get(socket_path, path, &image, error);
	if (r < 0)
		return r;
	labels = json_object_get(json_object_get(image, "Config"), "Labels");
	*ret_labels = json_is_object(labels) ? json_incref(labels) : json_object();
	json_decref(image);
	return *ret_labels ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
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
