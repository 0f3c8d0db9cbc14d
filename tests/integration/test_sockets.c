// SPDX-License-Identifier: Apache-2.0
// Ending the connections of a cgroup, and no others.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "redirect/cgroup.h"
#include "redirect/sockets.h"
#include "scene.h"

#define CONNECTIONS 50

struct stage {
	int channel[2]; // ours, the agent's
	uint16_t port;
	int server;
};

static int connected_datagram(uint16_t port)
{
	struct sockaddr_in6 address = make_address("127.0.0.1", port);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	return fd;
}

// Of each of its sockets, without waiting: has it ended?
static void expect_ended(int fd)
{
	char byte;

	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNABORTED);
}

static void have_connections_ended(const struct scene *scene, const void *argument)
{
	const struct stage *stage = argument;
	int fds[CONNECTIONS], datagram, listener, channel = stage->channel[1];
	uint16_t port = 0;
	char word;

	(void)scene;
	for (size_t i = 0; i < CONNECTIONS; i++)
		fds[i] = CHECK_OK(i ? dial("127.0.0.1", stage->port) : dial(PUBLIC4, 443));
	datagram = connected_datagram(stage->port);
	listener = listen_on("127.0.0.1", &port);
	CHECK(send(channel, ".", 1, 0) == 1);
	CHECK(recv(channel, &word, 1, 0) == 1);
	for (size_t i = 0; i < CONNECTIONS; i++)
		expect_ended(fds[i]);
	expect_ended(datagram);
	// What listens has no other end.
	CHECK_OK(dial("127.0.0.1", port));
	CHECK(scene_accept(listener) >= 0);
}

static void play(struct scene *scene)
{
	struct sg_sockets_result result;
	struct stage stage;
	int netns_fd = CHECK_SYS(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)), own, other;
	pid_t pid;
	char word;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stage.channel));
	stage.port = 0;
	stage.server = listen_on("127.0.0.1", &stage.port);
	own = CHECK_OK(dial("127.0.0.1", stage.port)); // this process is no agent
	other = scene_accept(stage.server);
	pid = scene_agent(scene, scene->agent_fd, have_connections_ended, &stage);
	CHECK(recv(stage.channel[0], &word, 1, 0) == 1);

	CHECK_OK(sg_sockets_end(
		scene->agent_fd, netns_fd, SG_SOCKETS_CONNECTED, &result, &scene->error));
	CHECK(result.ended == CONNECTIONS + 1 && result.left == 0);
	CHECK(send(stage.channel[0], ".", 1, 0) == 1);
	scene_join(pid);
	CHECK_OK(sg_sockets_end(
		scene->agent_fd, netns_fd, SG_SOCKETS_CONNECTED, &result, &scene->error));
	CHECK(result.ended == 0);
	CHECK(send(own, "x", 1, MSG_NOSIGNAL) == 1 && recv(other, &word, 1, 0) == 1);
	close(netns_fd);
}

static void all_connections_of_a_group_end_and_no_others(void **state)
{
	(void)state;
	scene_run(play);
}

static void have_one_elsewhere(const struct scene *scene, const void *argument)
{
	const struct stage *stage = argument;
	uint16_t port = 0;
	char word;
	int fd;

	CHECK_OK(sg_cgroup_enter(scene_cgroup(scene, "agent/below"), 0));
	CHECK_SYS(unshare(CLONE_NEWNET));
	CHECK_OK(loopback_up());
	CHECK(listen_on("127.0.0.1", &port) >= 0);
	fd = CHECK_OK(dial("127.0.0.1", port));
	CHECK(send(stage->channel[1], ".", 1, 0) == 1);
	CHECK(recv(stage->channel[1], &word, 1, 0) == 1);
	// By itself, or by its other end, which is the group's, too.
	CHECK(recv(fd, &word, 1, MSG_DONTWAIT) < 0 &&
		(errno == ECONNABORTED || errno == ECONNRESET));
}

// A process of a group below, in a network namespace of its own.
static void play_elsewhere(struct scene *scene)
{
	int netns_fd = CHECK_SYS(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	struct sg_sockets_result result;
	struct stage stage;
	pid_t pid;
	char word;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stage.channel));
	pid = scene_agent(scene, scene->agent_fd, have_one_elsewhere, &stage);
	CHECK(recv(stage.channel[0], &word, 1, 0) == 1);
	CHECK_OK(sg_sockets_end(
		scene->agent_fd, netns_fd, SG_SOCKETS_CONNECTED, &result, &scene->error));
	CHECK(result.ended > 0 && result.left == 0);
	CHECK(send(stage.channel[0], ".", 1, 0) == 1);
	scene_join(pid);
	close(netns_fd);
}

static void so_do_those_of_other_network_namespaces(void **state)
{
	(void)state;
	scene_run(play_elsewhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_connections_of_a_group_end_and_no_others),
		cmocka_unit_test(so_do_those_of_other_network_namespaces),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
