// SPDX-License-Identifier: Apache-2.0
// `spendgate docker watch`: labelled containers become agents as they start, without
// spendgate-runc.
#include "cli/watch.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "container/attach.h"
#include "container/engine.h"
#include "container/labels.h"

#define AGAIN_S 1

// Returns 0, whatever became of it, or -ENOTCONN: without spendgated nothing more can be attached.
static int attach(const struct sg_labels *labels, const struct sg_engine_container *container,
	const char *profile, struct sg_error *ret_error)
{
	struct sg_attach_result result = { 0, 0 };
	struct sg_error error = { "" };
	json_t *request = NULL;
	int r = sg_labels_request(labels, container->id, profile, &request, &error);

	if (r == 0)
		r = sg_attach(container->id, request, &result, &error);
	if (r == 0)
		sg_log(SG_LOG_INFO, "attached", "container=%.12s name=%s ended=%u mounted=%u",
			container->id, container->name, result.ended, result.mounted);
	else if (r == -ENOTCONN)
		*ret_error = error;
	else if (r != -EEXIST) // spendgate-runc was first
		sg_log(SG_LOG_ERROR, "attach_failed",
			"container=%.12s name=%s reason=\"%s\" remedy=\"it runs without its "
			"limit: stop it\"",
			container->id, container->name, error.text);
	json_decref(request);
	return r == -ENOTCONN ? r : 0;
}

struct follower {
	const char *socket_path;
	const char *profile;
	struct sg_error *error;
};

static int visit(void *context, const struct sg_engine_container *container)
{
	const struct follower *follower = context;
	int r;
	struct sg_labels labels = { .all = (json_t *)container->labels };
	struct sg_error error = { "" };

	if (!follower->profile && !sg_labels_agent(&labels))
		return 0;
	if (sg_labels_of_engine(follower->socket_path, container, &labels, &error) < 0) {
		sg_log(SG_LOG_ERROR, "attach_failed", "container=%.12s name=%s reason=\"%s\"",
			container->id, container->name, error.text);
		return 0;
	}
	r = attach(&labels, container, follower->profile, follower->error);
	sg_labels_release(&labels);
	return r;
}

// The stream first, so that no container falls between it and the list. Without spendgated it ends:
// what it could not attach is in the list when it is back.
static int watch_once(struct follower *follower, struct sg_error *error)
{
	const char *socket_path = follower->socket_path;
	int fd = sg_engine_open_events(socket_path, error), r;

	if (fd < 0)
		return fd;
	follower->error = error;
	r = sg_engine_each(socket_path, visit, follower, error);
	if (r == 0) {
		sg_log(SG_LOG_INFO, "watching", "engine=%s", socket_path);
		r = sg_engine_follow(fd, visit, follower, error);
	}
	close(fd);
	return r;
}

int sg_watch(const char *socket_path, const char *profile)
{
	const struct timespec again = { .tv_sec = AGAIN_S };
	struct follower follower = { socket_path, profile, NULL };

	for (;;) {
		struct sg_error error = { "the engine has ended" };

		int r = watch_once(&follower, &error);

		sg_log(SG_LOG_WARN, r == -ENOTCONN ? "daemon_away" : "engine_away",
			"engine=%s reason=\"%s\"", socket_path, error.text);
		nanosleep(&again, NULL);
	}
}
