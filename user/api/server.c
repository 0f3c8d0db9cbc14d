// SPDX-License-Identifier: Apache-2.0
// HTTP by libmicrohttpd.
#include "api/server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>

#include "api/requests.h"
#include "base/buf.h"
#include "base/log.h"

#define MAX_SOCKETS	2
#define MAX_CONNECTIONS 64
#define IDLE_SECONDS	15
#define MAX_DISCARDED	(1u << 20) // of a body that is too large, before the connection is closed

struct sg_api {
	struct sg_api_options options;
	pthread_t thread;
	int wake_fd;
	pthread_mutex_t lock; // of what follows
	struct sg_principals *principals;
	int next_fds[MAX_SOCKETS]; // to be served from now on
	unsigned next_count;
	bool has_next, stop;
	// the thread's own
	struct sg_api_strangers strangers;
	struct MHD_Daemon *daemons[MAX_SOCKETS];
};

// A request while its body comes.
struct pending {
	struct sg_buf body;
	size_t discarded;
	bool too_large;
};

// ---- Answers ----

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
	const char *type, const char *text, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, mode);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result perform(struct sg_api *api, struct MHD_Connection *connection,
	const char *method, const char *path, struct pending *pending)
{
	const struct sg_api_request request = {
		.method = method,
		.path = path,
		.authorization = MHD_lookup_connection_value(
			connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION),
		.lines = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "lines"),
		.agent = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "agent"),
		.budget = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "budget"),
		.body = sg_buf_length(&pending->body) ? (const char *)sg_buf_head(&pending->body)
						      : "",
		.length = sg_buf_length(&pending->body),
	};
	struct sg_api_answer answer;

	pthread_mutex_lock(&api->lock);
	sg_api_perform(&api->options, api->principals, &request, &answer);
	pthread_mutex_unlock(&api->lock);
	if (!answer.text)
		return send_text(connection, 500, "application/json",
			"{\"error\":\"out of memory\"}", MHD_RESPMEM_PERSISTENT);
	return send_text(
		connection, answer.status, answer.type, answer.text, MHD_RESPMEM_MUST_FREE);
}

// ---- Requests ----

static enum MHD_Result take_body(struct pending *pending, const char *data, size_t *size)
{
	if (sg_buf_length(&pending->body) + *size > SG_API_MAX_BODY ||
		sg_buf_append(&pending->body, data, *size) < 0)
		pending->too_large = true;
	if (pending->too_large)
		pending->discarded += *size;
	*size = 0;
	return pending->discarded > MAX_DISCARDED ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version SG_UNUSED, const char *data,
	size_t *size, void **state)
{
	struct pending *pending = *state;

	if (!pending) {
		*state = calloc(1, sizeof(struct pending));
		return *state ? MHD_YES : MHD_NO;
	}
	if (*size)
		return take_body(pending, data, size);
	if (pending->too_large)
		return send_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "application/json",
			"{\"error\":\"the body is larger than 64 KiB\"}", MHD_RESPMEM_PERSISTENT);
	return perform(context, connection, method, path, pending);
}

static void on_completed(void *context SG_UNUSED, struct MHD_Connection *connection SG_UNUSED,
	void **state, enum MHD_RequestTerminationCode code SG_UNUSED)
{
	struct pending *pending = *state;

	if (pending)
		sg_buf_release(&pending->body);
	free(pending);
	*state = NULL;
}

// Its messages are about clients that went away.
static void ignore_message(
	void *context SG_UNUSED, const char *format SG_UNUSED, va_list arguments SG_UNUSED)
{
}

// ---- The thread ----

static void stop_daemons(struct sg_api *api)
{
	for (unsigned i = 0; i < MAX_SOCKETS; i++) {
		if (api->daemons[i])
			MHD_stop_daemon(api->daemons[i]);
		api->daemons[i] = NULL;
	}
}

// Takes the socket.
static struct MHD_Daemon *start_daemon(struct sg_api *api, int fd)
{
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL,
		NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, ignore_message, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_END);

	if (!daemon) {
		sg_log(SG_LOG_ERROR, "api", "effect=\"a socket of the control API is not served\"");
		close(fd);
	}
	return daemon;
}

static void take_sockets(struct sg_api *api)
{
	int fds[MAX_SOCKETS];
	unsigned count;

	pthread_mutex_lock(&api->lock);
	count = api->next_count;
	memcpy(fds, api->next_fds, sizeof(fds));
	api->has_next = false;
	api->next_count = 0;
	pthread_mutex_unlock(&api->lock);
	stop_daemons(api);
	for (unsigned i = 0; i < count; i++)
		api->daemons[i] = start_daemon(api, fds[i]);
}

// Waits for a connection's turn, a timeout of one, or a wake-up.
static void wait_for_work(struct sg_api *api)
{
	struct pollfd waiting[1 + MAX_SOCKETS] = { { .fd = api->wake_fd, .events = POLLIN } };
	int timeout_ms = -1;
	uint64_t count;

	for (unsigned i = 0; i < MAX_SOCKETS; i++) {
		const union MHD_DaemonInfo *info;
		MHD_UNSIGNED_LONG_LONG ms;

		waiting[1 + i] = (struct pollfd){ .fd = -1, .events = POLLIN };
		if (!api->daemons[i])
			continue;
		info = MHD_get_daemon_info(api->daemons[i], MHD_DAEMON_INFO_EPOLL_FD);
		waiting[1 + i].fd = info ? info->epoll_fd : -1;
		if (MHD_get_timeout(api->daemons[i], &ms) == MHD_YES &&
			(timeout_ms < 0 || ms < (MHD_UNSIGNED_LONG_LONG)timeout_ms))
			timeout_ms = ms > INT_MAX ? INT_MAX : (int)ms;
	}
	if (poll(waiting, 1 + MAX_SOCKETS, timeout_ms) > 0 && waiting[0].revents &&
		read(api->wake_fd, &count, sizeof(count)) < 0)
		sg_log(SG_LOG_WARN, "api", "reason=\"%s\"", strerror(errno));
}

static void *serve(void *context)
{
	struct sg_api *api = context;
	bool stop = false, has_next = false;

	while (!stop) {
		if (has_next)
			take_sockets(api);
		wait_for_work(api);
		for (unsigned i = 0; i < MAX_SOCKETS; i++)
			if (api->daemons[i])
				MHD_run(api->daemons[i]);
		pthread_mutex_lock(&api->lock);
		stop = api->stop;
		has_next = api->has_next;
		pthread_mutex_unlock(&api->lock);
	}
	stop_daemons(api);
	return NULL;
}

static void wake(struct sg_api *api)
{
	static const uint64_t one = 1;

	if (write(api->wake_fd, &one, sizeof(one)) < 0)
		sg_log(SG_LOG_WARN, "api", "reason=\"%s\"", strerror(errno));
}

// ---- Life ----

int sg_api_new(const struct sg_api_options *options, struct sg_api **ret_api)
{
	struct sg_api *api = calloc(1, sizeof(*api));
	int r;

	if (!api)
		return -ENOMEM;
	api->options = *options;
	api->options.strangers = &api->strangers;
	api->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = api->wake_fd < 0 ? -errno : 0;
	pthread_mutex_init(&api->lock, NULL);
	if (r == 0)
		r = -pthread_create(&api->thread, NULL, serve, api);
	if (r < 0) {
		if (api->wake_fd >= 0)
			close(api->wake_fd);
		free(api);
		return r;
	}
	*ret_api = api;
	return 0;
}

struct sg_api *sg_api_free(struct sg_api *api)
{
	if (!api)
		return NULL;
	pthread_mutex_lock(&api->lock);
	api->stop = true;
	pthread_mutex_unlock(&api->lock);
	wake(api);
	pthread_join(api->thread, NULL);
	while (api->next_count)
		close(api->next_fds[--api->next_count]);
	sg_principals_free(api->principals);
	close(api->wake_fd);
	pthread_mutex_destroy(&api->lock);
	free(api);
	return NULL;
}

void sg_api_set_principals(struct sg_api *api, struct sg_principals *principals)
{
	struct sg_principals *old;

	pthread_mutex_lock(&api->lock);
	old = api->principals;
	api->principals = principals;
	pthread_mutex_unlock(&api->lock);
	sg_principals_free(old);
}

void sg_api_listen(struct sg_api *api, const int *fds, unsigned count)
{
	pthread_mutex_lock(&api->lock);
	while (api->next_count)
		close(api->next_fds[--api->next_count]);
	for (unsigned i = 0; i < count; i++) {
		if (api->next_count < MAX_SOCKETS)
			api->next_fds[api->next_count++] = fds[i];
		else
			close(fds[i]);
	}
	api->has_next = true;
	pthread_mutex_unlock(&api->lock);
	wake(api);
}
