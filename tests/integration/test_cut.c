// SPDX-License-Identifier: Apache-2.0
// An agent that is cut off: refused by the kernel whatever it tries, and silent on what it has,
// also when nothing of ours runs, and over an upgrade. (Ending its connections: test_sockets.c.)
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include <cmocka.h>

#include "scene.h"

struct stage {
	const struct scene *scene;
	int channel[2]; // ours, the agent's
	uint16_t port;	// of a server on its own loopback, TCP and UDP
	int server, datagrams;
};

static void say(int channel)
{
	CHECK(send(channel, ".", 1, 0) == 1);
}

static void hear(int channel)
{
	char word;

	CHECK(recv(channel, &word, 1, 0) == 1);
}

static int connected_datagram(uint16_t port)
{
	struct sockaddr_in6 address = make_address("127.0.0.1", port);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	return fd;
}

static int send_datagram(const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	ssize_t n = sendto(fd, "x", 1, 0, (struct sockaddr *)&address, address_length(&address));
	int r = n < 0 ? -errno : 0;

	close(fd);
	return r;
}

static void expect_cut(const struct scene *scene, uint16_t port)
{
	(void)scene;
	CHECK(dial(PUBLIC4, 443) == -EPERM);
	CHECK(dial(PUBLIC6, 443) == -EPERM);
	CHECK(dial("127.0.0.1", port) == -EPERM);
	CHECK(send_datagram("127.0.0.1", port) == -EPERM);
	CHECK(send_datagram("::1", port) == -EPERM);
}

static void live_through_a_cut(const struct scene *scene, const void *argument)
{
	const struct stage *stage = argument;
	int channel = stage->channel[1], redirected, direct, datagram;
	char byte;

	redirected = CHECK_OK(dial(PUBLIC4, 443));
	direct = CHECK_OK(dial("127.0.0.1", stage->port));
	datagram = connected_datagram(stage->port);
	CHECK(send(datagram, "x", 1, 0) == 1);
	say(channel);
	hear(channel); // cut
	expect_cut(scene, stage->port);
	CHECK(send(datagram, "x", 1, 0) < 0 && errno == EPERM);
	CHECK(send(redirected, "x", 1, MSG_NOSIGNAL) == 1);
	CHECK(send(direct, "x", 1, MSG_NOSIGNAL) == 1);
	say(channel);
	hear(channel); // the other side has reset it
	CHECK(recv(redirected, &byte, 1, 0) < 0 && errno == ECONNRESET);
	say(channel);
	hear(channel); // mended
	read_word(CHECK_OK(dial(PUBLIC4, 443)));
	CHECK_OK(dial("127.0.0.1", stage->port));
	CHECK(send_datagram("127.0.0.1", stage->port) == 0);
}

static void reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
	close(fd);
}

static void open_stage(const struct scene *scene, struct stage *stage)
{
	struct sockaddr_in6 address;

	*stage = (struct stage){ .scene = scene };
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stage->channel));
	stage->server = listen_on("127.0.0.1", &stage->port);
	stage->datagrams = CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	address = make_address("127.0.0.1", stage->port);
	CHECK_SYS(bind(stage->datagrams, (struct sockaddr *)&address, address_length(&address)));
}

static void play_cut(struct scene *scene)
{
	struct stage stage;
	int redirected, direct;
	char byte;
	pid_t pid;

	open_stage(scene, &stage);
	pid = scene_agent(scene, scene->agent_fd, live_through_a_cut, &stage);
	redirected = scene_accept(scene->listener4);
	direct = scene_accept(stage.server);
	hear(stage.channel[0]);

	CHECK(!sg_redirect_is_cut(scene->redirect, AGENT));
	CHECK_OK(sg_redirect_cut_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK_OK(sg_redirect_cut_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK(sg_redirect_is_cut(scene->redirect, AGENT));
	// The warden dies, and is started again.
	sg_redirect_close(scene->redirect);
	scene_open(scene);
	CHECK(sg_redirect_is_cut(scene->redirect, AGENT));
	say(stage.channel[0]);
	hear(stage.channel[0]);
	// On loopback what was sent would be here by now.
	CHECK(recv(redirected, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	CHECK(recv(direct, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	CHECK(scene_count(scene, SG_REASON_CUT) == 5);
	reset(redirected);
	say(stage.channel[0]);
	hear(stage.channel[0]);

	CHECK_OK(sg_redirect_mend_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK_OK(sg_redirect_mend_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK(!sg_redirect_is_cut(scene->redirect, AGENT));
	say(stage.channel[0]);
	CHECK(scene_serve(scene->listener4).agent_id == AGENT);
	scene_join(pid);
}

static void an_agent_that_is_cut_off_has_no_network(void **state)
{
	(void)state;
	scene_run(play_cut);
}

static void expect_no_network(const struct scene *scene, const void *argument)
{
	expect_cut(scene, *(const uint16_t *)argument);
}

static void play_upgrade(struct scene *scene)
{
	struct stage stage;
	char path[PATH_MAX];
	int fd;

	open_stage(scene, &stage);
	CHECK_OK(sg_redirect_cut_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	// As if an earlier version had had a smaller record.
	fd = CHECK_OK(bpf_map_create(BPF_MAP_TYPE_HASH, "flows", 32, 16, 64, NULL));
	snprintf(path, sizeof(path), "%s/maps/flows", scene->pins);
	CHECK_SYS(unlink(path));
	CHECK_OK(bpf_obj_pin(fd, path));
	close(fd);
	sg_redirect_close(scene->redirect);
	scene_open(scene);
	CHECK(sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK(sg_redirect_is_cut(scene->redirect, AGENT));
	scene_act(scene, expect_no_network, &stage.port);
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK(!sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK(sg_redirect_is_cut(scene->redirect, AGENT));
	scene_act(scene, expect_no_network, &stage.port);
	CHECK(scene_count(scene, SG_REASON_CUT) == 5);
}

static void it_is_so_after_an_upgrade(void **state)
{
	(void)state;
	scene_run(play_upgrade);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_that_is_cut_off_has_no_network),
		cmocka_unit_test(it_is_so_after_an_upgrade),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
