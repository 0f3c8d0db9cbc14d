// SPDX-License-Identifier: Apache-2.0
#include "redirect/netns.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

struct job {
	int netns_fd;
	int family, type, protocol;
	int fd; // result: descriptor or -errno
};

static void *run(void *context)
{
	struct job *job = context;

	job->fd = setns(job->netns_fd, CLONE_NEWNET);
	if (job->fd == 0)
		job->fd = socket(job->family, job->type, job->protocol);
	if (job->fd < 0)
		job->fd = -errno;
	return NULL;
}

int sg_netns_socket(int netns_fd, int family, int type, int protocol)
{
	struct job job = { netns_fd, family, type, protocol, -1 };
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, run, &job);

	if (r < 0)
		return r;
	pthread_join(thread, NULL);
	return job.fd;
}
