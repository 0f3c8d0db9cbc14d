// SPDX-License-Identifier: Apache-2.0
// Whose connection it is, and that one agent can't take the ground from the others. The numbers are
// those of the table in docs/interception.md.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "redirect/cgroup.h"
#include "scene.h"

#define SECOND_AGENT 8
#define THIRD_AGENT  9

static void connect_plainly(const struct scene *scene, const void *argument)
{
	int fd = CHECK_OK(dial(PUBLIC4, 443));

	(void)scene;
	(void)argument;
	check_peer(fd, PUBLIC4, 443);
	read_word(fd);
}

static void expect_agent(struct scene *scene, int cgroup_fd, uint32_t agent_id)
{
	pid_t pid = scene_agent(scene, cgroup_fd, connect_plainly, NULL);

	CHECK(scene_serve(scene->listener4).agent_id == agent_id);
	scene_join(pid);
}

// ---- 19, 21, 38 ----

static void play_19(struct scene *scene)
{
	int child_fd = scene_cgroup(scene, "agent/child");
	int grandchild_fd = scene_cgroup(scene, "agent/child/grandchild");

	expect_agent(scene, child_fd, AGENT);
	expect_agent(scene, grandchild_fd, AGENT);
	// Agents inside agents: the innermost pays, however many hooks see the connection.
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, child_fd, SECOND_AGENT, &scene->error));
	expect_agent(scene, child_fd, SECOND_AGENT);
	expect_agent(scene, grandchild_fd, SECOND_AGENT);
	CHECK_OK(sg_redirect_attach_agent(
		scene->redirect, grandchild_fd, THIRD_AGENT, &scene->error));
	expect_agent(scene, grandchild_fd, THIRD_AGENT);
	expect_agent(scene, child_fd, SECOND_AGENT);
	expect_agent(scene, scene->agent_fd, AGENT);
	CHECK(scene_flow_entries(scene) == 0);
}

static void row_19_child_cgroups_and_nested_agents(void **state)
{
	(void)state;
	scene_run(play_19);
}

// docker exec: a process from outside joins cgroup and namespace of the agent.
static void join_and_connect(const struct scene *scene, const void *namespace_fd)
{
	CHECK_SYS(setns(*(const int *)namespace_fd, CLONE_NEWNET));
	connect_plainly(scene, NULL);
}

static void play_21(struct scene *scene)
{
	int namespace_fd = CHECK_SYS(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	pid_t pid = CHECK_SYS(fork());

	if (pid == 0) {
		CHECK_SYS(unshare(CLONE_NEWNET));
		scene_act(scene, join_and_connect, &namespace_fd);
		_exit(0);
	}
	CHECK(scene_serve(scene->listener4).agent_id == AGENT);
	scene_join(pid);
}

static void row_21_exec_into_the_container(void **state)
{
	(void)state;
	scene_run(play_21);
}

static void play_38(struct scene *scene)
{
	int second_fd = scene_cgroup(scene, "second");

	CHECK_OK(sg_redirect_attach_agent(scene->redirect, second_fd, SECOND_AGENT, &scene->error));
	for (int i = 0; i < 5; i++) {
		expect_agent(scene, scene->agent_fd, AGENT);
		expect_agent(scene, second_fd, SECOND_AGENT);
	}
}

static void row_38_two_agents_in_one_namespace(void **state)
{
	(void)state;
	scene_run(play_38);
}

// ---- 9, 11: sockets of other cgroups. Measured, and said so in the documentation ----

// Made here, outside every agent's cgroup; inherited by a process that then enters one. The hooks
// of the socket's own cgroup run, and there are none.
static void connect_with(const struct scene *scene, const void *socket)
{
	struct sockaddr_in6 address = make_address(PUBLIC4, 443);

	(void)scene;
	CHECK(connect(*(const int *)socket, (struct sockaddr *)&address, address_length(&address)) <
		0);
	CHECK(errno == ENETUNREACH);
}

static void play_9(struct scene *scene)
{
	int outside = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	scene_act(scene, connect_with, &outside);
	CHECK(scene_count(scene, SG_REASON_REDIRECTED) == 0);
	// One of its own is caught as ever.
	expect_agent(scene, scene->agent_fd, AGENT);
}

static void rows_9_and_11_sockets_from_outside_are_not_seen(void **state)
{
	(void)state;
	scene_run(play_9);
}

// The other way round: whoever connects with an agent's socket spends the agent's budget.
static void make_socket(const struct scene *scene, const void *pair)
{
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	(void)scene;
	send_descriptor(((const int *)pair)[1], fd);
}

static void play_11(struct scene *scene)
{
	struct sockaddr_in6 address = make_address(PUBLIC4, 443);
	int pair[2], fd;

	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	scene_act(scene, make_socket, pair);
	fd = receive_descriptor(pair[0]);
	CHECK_SYS(fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK(connect(fd, (struct sockaddr *)&address, address_length(&address)) == 0 ||
		errno == EINPROGRESS);
	CHECK(scene_serve(scene->listener4).agent_id == AGENT);
}

static void row_11_an_agents_socket_stays_the_agents(void **state)
{
	(void)state;
	scene_run(play_11);
}

// ---- 35: one agent can't fill `flows` for the others ----

// More connections than its part, that nobody accepts. The last ones are refused.
static void hoard(const struct scene *scene, const void *pair)
{
	struct rlimit limit = { .rlim_cur = SG_MAX_AGENT_FLOWS + 100,
		.rlim_max = SG_MAX_AGENT_FLOWS + 100 };
	struct sockaddr_in6 address = make_address(PUBLIC4, 443);
	int r = 0, count = -1;
	char word;

	(void)scene;
	CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
	while (r == 0 && count <= SG_MAX_AGENT_FLOWS) {
		int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

		r = connect(fd, (struct sockaddr *)&address, address_length(&address)) < 0 ? errno
											   : 0;
		if (r == EINPROGRESS)
			r = 0;
		count++;
	}
	CHECK(r == EPERM);
	CHECK(count == SG_MAX_AGENT_FLOWS);
	// Held until the stage has seen that another agent is not harmed.
	CHECK(write(((const int *)pair)[1], "x", 1) == 1);
	CHECK(read(((const int *)pair)[1], &word, 1) == 1);
}

static void connect_by_ipv6(const struct scene *scene, const void *argument)
{
	(void)scene;
	(void)argument;
	read_word(CHECK_OK(dial(PUBLIC6, 443)));
}

static void play_35(struct scene *scene)
{
	int second_fd = scene_cgroup(scene, "second"), pair[2];
	struct sg_flow_record record;
	pid_t pid, other;
	char word;

	CHECK_OK(sg_redirect_attach_agent(scene->redirect, second_fd, SECOND_AGENT, &scene->error));
	CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = scene_agent(scene, scene->agent_fd, hoard, pair);
	CHECK(read(pair[0], &word, 1) == 1);
	CHECK(scene_flow_entries(scene) == SG_MAX_AGENT_FLOWS);
	// By the other listener: no crowd stands before it.
	other = scene_agent(scene, second_fd, connect_by_ipv6, NULL);
	CHECK(scene_serve(scene->listener6).agent_id == SECOND_AGENT);
	scene_join(other);
	// What was asked for and what broke off makes room again.
	CHECK_OK(scene_flow(scene_accept(scene->listener4), &record));
	CHECK(scene_flow_entries(scene) == SG_MAX_AGENT_FLOWS - 1);
	close(scene->listener4);
	CHECK(write(pair[0], "x", 1) == 1);
	scene_join(pid);
	scene->listener4 = listen_on("127.0.0.1", &scene->port4);
	expect_agent(scene, scene->agent_fd, AGENT);
	// An agent that is gone leaves nothing.
	other = scene_agent(scene, scene->agent_fd, connect_plainly, NULL);
	(void)scene_accept(scene->listener4);
	CHECK(scene_flow_entries(scene) != 0);
	CHECK_OK(sg_redirect_detach_agent(scene->redirect, AGENT));
	CHECK(scene_flow_entries(scene) == 0);
	CHECK_SYS(kill(other, SIGKILL));
	CHECK_SYS(waitpid(other, NULL, 0));
}

static void row_35_an_agents_part_of_the_flows(void **state)
{
	(void)state;
	scene_run(play_35);
}

static void connect_without_a_word(const struct scene *scene, const void *argument)
{
	int fd = CHECK_OK(dial(PUBLIC4, 443));
	char byte;

	(void)scene;
	(void)argument;
	CHECK(read(fd, &byte, 1) == 0); // what the enforcer does with a connection of nobody
}

static void play_full(struct scene *scene)
{
	struct sg_flow_record record;
	pid_t pid;
	int fd;

	scene_fill_flows(scene);
	pid = scene_agent(scene, scene->agent_fd, connect_without_a_word, NULL);
	fd = scene_accept(scene->listener4);
	CHECK(scene_flow(fd, &record) == -ENOENT);
	close(fd);
	scene_join(pid);
	CHECK(scene_count(scene, SG_REASON_STORAGE) == 1);
	scene_empty_flows(scene);
	expect_agent(scene, scene->agent_fd, AGENT);
}

static void row_35_a_full_map_is_nobodys_connection(void **state)
{
	(void)state;
	scene_run(play_full);
}

// ---- Not registered ----

static void expect_nothing_goes(const struct scene *scene, const void *argument)
{
	(void)scene;
	(void)argument;
	CHECK(dial(PUBLIC4, 443) == -EPERM);
	CHECK(dial(PUBLIC6, 443) == -EPERM);
	CHECK(dial("127.0.0.1", 1) == -EPERM);
}

static void play_unregistered(struct scene *scene)
{
	scene_unregister(scene, scene->agent_fd);
	scene_act(scene, expect_nothing_goes, NULL);
	CHECK(scene_count(scene, SG_REASON_NO_AGENT) == 3);
}

static void attached_but_not_registered(void **state)
{
	(void)state;
	scene_run(play_unregistered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_19_child_cgroups_and_nested_agents),
		cmocka_unit_test(row_21_exec_into_the_container),
		cmocka_unit_test(row_38_two_agents_in_one_namespace),
		cmocka_unit_test(rows_9_and_11_sockets_from_outside_are_not_seen),
		cmocka_unit_test(row_11_an_agents_socket_stays_the_agents),
		cmocka_unit_test(row_35_an_agents_part_of_the_flows),
		cmocka_unit_test(row_35_a_full_map_is_nobodys_connection),
		cmocka_unit_test(attached_but_not_registered),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
