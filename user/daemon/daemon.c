// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/channel.h"
#include "spendgate/control.h"

#define ANSWER_MS 30000

const char *sg_daemon_run_directory(void)
{
	const char *directory = getenv(SG_ENV_RUN_DIRECTORY);

	return directory && *directory ? directory : SG_DEFAULT_RUN_DIRECTORY;
}

static int try_connect(struct sg_daemon *daemon)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/control.sock", sg_daemon_run_directory());
	daemon->fd = sg_channel_connect(path);
	return daemon->fd < 0 ? daemon->fd : 0;
}

void sg_daemon_close(struct sg_daemon *daemon)
{
	if (daemon->fd >= 0)
		close(daemon->fd);
	daemon->fd = -1;
}

static int send_request(
	struct sg_daemon *daemon, const json_t *request, const int *fds, unsigned fd_count)
{
	int all[SG_CHANNEL_MAX_FDS] = { -1 };
	char *text = json_dumps(request, JSON_COMPACT);
	int r = text ? sg_channel_memfd("spendgate-request", text, strlen(text)) : -ENOMEM;

	free(text);
	if (r < 0)
		return r;
	all[0] = r;
	for (unsigned i = 0; i < fd_count; i++)
		all[i + 1] = fds[i];
	r = sg_channel_send(daemon->fd, SG_CHANNEL_CONTROL, 1, 0, NULL, 0, all, fd_count + 1);
	close(all[0]);
	return r;
}

static int receive_answer(struct sg_daemon *daemon, json_t **ret_answer)
{
	struct pollfd waiting = { .fd = daemon->fd, .events = POLLIN };
	struct sg_channel_message message;
	char *text = NULL;
	size_t length;
	int r;

	if (poll(&waiting, 1, ANSWER_MS) <= 0)
		return -ETIMEDOUT;
	r = sg_channel_receive(daemon->fd, &message);
	if (r <= 0)
		return r == 0 ? -EPIPE : r;
	r = message.fd_count ? sg_channel_read_memfd(
				       message.fds[0], SG_CONTROL_MAX_BYTES * 16, &text, &length)
			     : -EPROTO;
	for (unsigned i = 0; i < message.fd_count; i++)
		close(message.fds[i]);
	if (r < 0)
		return r;
	*ret_answer = json_loadb(text, length, 0, NULL);
	free(text);
	return *ret_answer ? 0 : -EPROTO;
}

int sg_daemon_ask(struct sg_daemon *daemon, const json_t *request, const int *fds,
	unsigned fd_count, json_t **ret_answer, struct sg_error *error)
{
	json_t *answer = NULL;
	const char *sentence;
	int code;
	int r = send_request(daemon, request, fds, fd_count);

	if (r == 0)
		r = receive_answer(daemon, &answer);
	if (r < 0)
		return sg_error_set(error, r, "spendgated does not answer: %s", strerror(-r));
	if (json_is_true(json_object_get(answer, "ok"))) {
		*ret_answer = answer;
		return 0;
	}
	sentence = json_string_value(json_object_get(answer, "error"));
	sg_error_set(error, 0, "%s", sentence ? sentence : "spendgated refused without a reason");
	code = (int)json_integer_value(json_object_get(answer, "errno"));
	json_decref(answer);
	return code == EINVAL || code == EEXIST || code == ENOENT ? -code : -EREMOTEIO;
}

// A daemon on demand may be ending: it takes no connection any more, or closes it unread.
int sg_daemon_connect(struct sg_daemon *daemon, struct sg_error *error)
{
	json_t *request, *answer = NULL;
	int r = try_connect(daemon);

	if (r < 0)
		return r;
	request = json_pack("{s:s}", "op", "ping");
	r = sg_daemon_ask(daemon, request, NULL, 0, &answer, error);
	json_decref(request);
	json_decref(answer);
	if (r < 0)
		sg_daemon_close(daemon);
	return r;
}
