// SPDX-License-Identifier: Apache-2.0
// A client of spendgated over control.sock. One thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_daemon {
	int fd;
};

// Connects and sees that it answers. Returns 0 or -errno (the sentence may be empty).
int sg_daemon_connect(struct sg_daemon *daemon, struct sg_error *error) SG_WUNRES;
void sg_daemon_close(struct sg_daemon *daemon);

// Asks and waits. `fds` stay the caller's. *ret_answer is a new reference to an answer with "ok":
// true; a refusal is -EINVAL (the request is at fault), -EEXIST, -ENOENT, or -EREMOTEIO with the
// daemon's own sentence. -EPIPE: the daemon is gone.
int sg_daemon_ask(struct sg_daemon *daemon, const json_t *request, const int *fds,
	unsigned fd_count, json_t **ret_answer, struct sg_error *error) SG_WUNRES;

const char *sg_daemon_run_directory(void);
