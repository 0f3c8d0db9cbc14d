// SPDX-License-Identifier: Apache-2.0
#include "scene.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "redirect/cgroup.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 // Linux 5.14
#endif

#define PATIENCE_SECONDS 60 // until a scene that hangs is killed
#define ACCEPT_MS	 10000

_Noreturn void scene_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", file, line, what, strerror(errno));
	_exit(1);
}

_Noreturn void scene_fail_code(const char *file, int line, const char *what, int code)
{
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, strerror(-code));
	_exit(1);
}

// ---- The stage ----

int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	SG_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -errno;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int scene_cgroup(const struct scene *scene, const char *name)
{
	struct sg_error error;
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", scene->cgroup, name);
	return CHECK_OK(sg_cgroup_make(path, &error));
}

void scene_open(struct scene *scene)
{
	int r = sg_redirect_open(scene->pins, &scene->redirect, &scene->error);

	if (r < 0)
		fprintf(stderr, "%s\n", scene->error.text);
	CHECK(r == 0);
}

void scene_listen(struct scene *scene)
{
	socklen_t length = sizeof(scene->netns_cookie);

	scene->listener4 = listen_on("127.0.0.1", &scene->port4);
	scene->listener6 = listen_on("::1", &scene->port6);
	CHECK_SYS(getsockopt(
		scene->listener4, SOL_SOCKET, SO_NETNS_COOKIE, &scene->netns_cookie, &length));
	CHECK_OK(sg_redirect_set_listener(
		scene->redirect, scene->netns_cookie, scene->port4, scene->port6));
}

void scene_attach(struct scene *scene)
{
	CHECK_OK(sg_redirect_attach_service(scene->redirect, scene->service_fd, &scene->error));
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
}

static _Noreturn void play(struct scene *scene, scene_fn body, bool bare)
{
	CHECK_SYS(prctl(PR_SET_PDEATHSIG, SIGKILL));
	alarm(PATIENCE_SECONDS);
	CHECK_SYS(unshare(CLONE_NEWNET));
	CHECK_OK(loopback_up());
	scene->service_fd = scene_cgroup(scene, "service");
	scene->agent_fd = scene_cgroup(scene, "agent");
	CHECK_OK(sg_cgroup_enter(scene->service_fd, 0));
	if (!bare) {
		scene_open(scene);
		scene_attach(scene);
		scene_listen(scene);
	}
	body(scene);
	sg_redirect_close(scene->redirect);
	_exit(0);
}

// Pins are plain names to unlink: an object that is broken can't keep them from being removed.
static void remove_pins(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", path);
	assert_int_equal(system(command), 0);
}

static void run(scene_fn body, bool bare)
{
	static unsigned number;
	struct scene scene = { .listener4 = -1, .listener6 = -1 };
	char root[256];
	int status, removed;
	pid_t pid;

	number++;
	assert_int_equal(
		sg_cgroup_root("/run/spendgate-test-cgroup", root, sizeof(root), &scene.error), 0);
	snprintf(scene.cgroup, sizeof(scene.cgroup), "%s/spendgate-test-%d-%u", root, getpid(),
		number);
	snprintf(scene.pins, sizeof(scene.pins), "/sys/fs/bpf/spendgate-test-%d-%u", getpid(),
		number);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		play(&scene, body, bare);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	// Kills the agents that are left, too.
	removed = sg_cgroup_remove(scene.cgroup);
	remove_pins(scene.pins);
	assert_int_equal(status, 0);
	assert_int_equal(removed, 0);
}

void scene_run_bare(scene_fn body)
{
	run(body, true);
}

void scene_run(scene_fn body)
{
	run(body, false);
}

int scene_check_machine(void **state)
{
	struct sg_error error;

	(void)state;
	if (sg_redirect_probe(&error) == 0)
		return 0;
	fprintf(stderr, "%s\n", error.text);
	return -1;
}

// ---- Agents ----

pid_t scene_agent(const struct scene *scene, int cgroup_fd, agent_fn agent, const void *argument)
{
	pid_t pid = CHECK_SYS(fork());

	if (pid > 0)
		return pid;
	CHECK_SYS(prctl(PR_SET_PDEATHSIG, SIGKILL));
	CHECK_SYS(prctl(PR_SET_NAME, "test-agent"));
	CHECK_OK(sg_cgroup_enter(cgroup_fd, 0));
	agent(scene, argument);
	_exit(0);
}

void scene_join(pid_t pid)
{
	int status;

	CHECK_SYS(waitpid(pid, &status, 0));
	CHECK(status == 0);
}

void scene_act(const struct scene *scene, agent_fn agent, const void *argument)
{
	scene_join(scene_agent(scene, scene->agent_fd, agent, argument));
}

int scene_accept(int listener)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };

	CHECK(poll(&ready, 1, ACCEPT_MS) == 1);
	return CHECK_SYS(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

int scene_flow(int fd, struct sg_flow_record *ret_record)
{
	socklen_t length = sizeof(*ret_record);

	memset(ret_record, 0xff, sizeof(*ret_record));
	if (getsockopt(fd, SOL_SPENDGATE, SG_FLOW, ret_record, &length) < 0)
		return -errno;
	CHECK(length == sizeof(*ret_record));
	return 0;
}

struct sg_flow_record scene_serve(int listener)
{
	struct sg_flow_record record;
	int fd = scene_accept(listener);

	CHECK_OK(scene_flow(fd, &record));
	CHECK(write(fd, SERVER_WORD, strlen(SERVER_WORD)) == (ssize_t)strlen(SERVER_WORD));
	close(fd);
	return record;
}

uint64_t scene_count(const struct scene *scene, enum sg_reason reason)
{
	uint64_t value;

	CHECK_OK(sg_redirect_counter(scene->redirect, reason, &value));
	return value;
}
