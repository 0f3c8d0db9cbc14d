// SPDX-License-Identifier: Apache-2.0
// Every way to connect that must reach the enforcer, with the agent and the original destination.
// The numbers are those of the table in docs/interception.md.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <netinet/tcp.h>

#include <cmocka.h>

#include "scene.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void check_record(const struct scene *scene, const struct sg_flow_record *record,
	const char *text, int family)
{
	uint8_t want[16];

	mapped_bytes(text, want);
	CHECK(record->agent_id == AGENT);
	CHECK(record->netns_cookie == scene->netns_cookie);
	CHECK(memcmp(record->destination, want, sizeof(want)) == 0);
	CHECK(record->destination_port == 443);
	CHECK(record->family == family);
	CHECK(strcmp(record->command, "test-agent") == 0);
}

// An agent that does `agent` to `text`, port 443, must come out of `listener` with its record.
static void expect_redirected(
	struct scene *scene, agent_fn agent, const char *text, int listener, int family)
{
	pid_t pid = scene_agent(scene, scene->agent_fd, agent, text);
	struct sg_flow_record record = scene_serve(listener);

	check_record(scene, &record, text, family);
	CHECK(record.process_id == (uint32_t)pid);
	scene_join(pid);
}

static void connect_plainly(const struct scene *scene, const void *text)
{
	int fd = CHECK_OK(dial(text, 443));

	(void)scene;
	check_peer(fd, text, 443);
	read_word(fd);
}

static void connect_without_waiting(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM | SOCK_NONBLOCK, 0)), error = 0;
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	socklen_t length = sizeof(error);

	(void)scene;
	CHECK(connect(fd, (struct sockaddr *)&address, address_length(&address)) == 0 ||
		errno == EINPROGRESS);
	CHECK(poll(&ready, 1, 10000) == 1);
	CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	CHECK(error == 0);
	check_peer(fd, text, 443);
	CHECK_SYS(fcntl(fd, F_SETFL, 0));
	read_word(fd);
}

static void play_1(struct scene *scene)
{
	expect_redirected(scene, connect_plainly, PUBLIC4, scene->listener4, AF_INET);
	expect_redirected(scene, connect_without_waiting, PUBLIC4, scene->listener4, AF_INET);
	CHECK(scene_count(scene, SG_REASON_REDIRECTED) == 2);
}

static void row_1_ipv4(void **state)
{
	(void)state;
	scene_run(play_1);
}

static void play_2(struct scene *scene)
{
	expect_redirected(scene, connect_plainly, PUBLIC6, scene->listener6, AF_INET6);
	expect_redirected(scene, connect_without_waiting, PUBLIC6, scene->listener6, AF_INET6);
}

static void row_2_ipv6(void **state)
{
	(void)state;
	scene_run(play_2);
}

static void play_3(struct scene *scene)
{
	expect_redirected(scene, connect_plainly, MAPPED4, scene->listener4, AF_INET6);
	expect_redirected(scene, connect_without_waiting, MAPPED4, scene->listener4, AF_INET6);
}

// An IPv6-only socket can't send to IPv4 at all; the hook sees the address before the kernel says
// so, which must not leave the socket's way open.
static void connect_v6_only(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(AF_INET6, SOCK_STREAM, 0)), one = 1;

	(void)scene;
	CHECK_SYS(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
	CHECK(errno == ENETUNREACH);
}

static void play_3_v6_only(struct scene *scene)
{
	scene_act(scene, connect_v6_only, MAPPED4);
}

static void row_3_mapped(void **state)
{
	(void)state;
	scene_run(play_3);
	scene_run(play_3_v6_only);
}

// getpeername() of a multipath socket asks the outer socket, which the hooks never see: it shows
// the listener's address, and nothing is checked of it here.
static void connect_mptcp(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM, IPPROTO_MPTCP));

	(void)scene;
	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	read_word(fd);
}

static void play_4(struct scene *scene)
{
	expect_redirected(scene, connect_mptcp, PUBLIC4, scene->listener4, AF_INET);
	expect_redirected(scene, connect_mptcp, PUBLIC6, scene->listener6, AF_INET6);
	expect_redirected(scene, connect_mptcp, MAPPED4, scene->listener4, AF_INET6);
}

static void row_4_mptcp(void **state)
{
	(void)state;
	scene_run(play_4);
}

#define FIRST_DATA "first data"

static void fast_open_by_sendto(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM, 0));

	(void)scene;
	CHECK(sendto(fd, FIRST_DATA, strlen(FIRST_DATA), MSG_FASTOPEN, (struct sockaddr *)&address,
		      address_length(&address)) == (ssize_t)strlen(FIRST_DATA));
	read_word(fd);
	check_peer(fd, text, 443);
}

static void fast_open_by_connect(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM, 0)), one = 1;

	(void)scene;
	CHECK_SYS(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)));
	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	CHECK(write(fd, FIRST_DATA, strlen(FIRST_DATA)) == (ssize_t)strlen(FIRST_DATA));
	read_word(fd);
	check_peer(fd, text, 443);
}

static void expect_fast_open(
	struct scene *scene, agent_fn agent, const char *text, int listener, int family)
{
	pid_t pid = scene_agent(scene, scene->agent_fd, agent, text);
	struct sg_flow_record record;
	char data[32] = "";
	int fd = scene_accept(listener);

	CHECK_OK(scene_flow(fd, &record));
	check_record(scene, &record, text, family);
	CHECK(recv(fd, data, strlen(FIRST_DATA), MSG_WAITALL) == (ssize_t)strlen(FIRST_DATA));
	CHECK(strcmp(data, FIRST_DATA) == 0);
	CHECK(write(fd, SERVER_WORD, strlen(SERVER_WORD)) == (ssize_t)strlen(SERVER_WORD));
	close(fd);
	scene_join(pid);
}

static void all_fast_open(struct scene *scene)
{
	expect_fast_open(scene, fast_open_by_sendto, PUBLIC4, scene->listener4, AF_INET);
	expect_fast_open(scene, fast_open_by_connect, PUBLIC4, scene->listener4, AF_INET);
	expect_fast_open(scene, fast_open_by_sendto, PUBLIC6, scene->listener6, AF_INET6);
	expect_fast_open(scene, fast_open_by_connect, PUBLIC6, scene->listener6, AF_INET6);
	expect_fast_open(scene, fast_open_by_sendto, MAPPED4, scene->listener4, AF_INET6);
}

// Once as the listeners are, once with data in the SYN: no cookie asked for on either side.
static void play_5(struct scene *scene)
{
	int queue = 16, fd;

	all_fast_open(scene);
	fd = CHECK_SYS(open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY | O_CLOEXEC));
	CHECK(write(fd, "1543", 4) ==
		4); // 0x607: client, server, neither with a cookie, all listeners
	close(fd);
	CHECK_SYS(setsockopt(scene->listener4, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)));
	CHECK_SYS(setsockopt(scene->listener6, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)));
	all_fast_open(scene);
}

static void row_5_fast_open(void **state)
{
	(void)state;
	scene_run(play_5);
}

static void connect_by_ring(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM, 0));

	(void)scene;
	CHECK_OK(connect_with_io_uring(fd, (struct sockaddr *)&address, address_length(&address)));
	check_peer(fd, text, 443);
	read_word(fd);
}

static void play_6(struct scene *scene)
{
	expect_redirected(scene, connect_by_ring, PUBLIC4, scene->listener4, AF_INET);
	expect_redirected(scene, connect_by_ring, PUBLIC6, scene->listener6, AF_INET6);
	expect_redirected(scene, connect_by_ring, MAPPED4, scene->listener4, AF_INET6);
}

static void row_6_io_uring(void **state)
{
	(void)state;
	scene_run(play_6);
}

// ---- The record follows the socket and its source port ----

#define SECOND4 "203.0.113.8"

static void connect_twice(const struct scene *scene, const void *text)
{
	int fd = CHECK_OK(dial(text, 443));

	(void)scene;
	read_word(fd);
	CHECK_OK(redial(fd, SECOND4, 443));
	check_peer(fd, SECOND4, 443);
	read_word(fd);
	// A direct destination ends it: no record of the earlier one, and the peer as it is.
	CHECK(redial(fd, "127.0.0.1", 1) == -ECONNREFUSED);
}

static void play_reconnect(struct scene *scene)
{
	pid_t pid = scene_agent(scene, scene->agent_fd, connect_twice, PUBLIC4);
	struct sg_flow_record record = scene_serve(scene->listener4);

	check_record(scene, &record, PUBLIC4, AF_INET);
	record = scene_serve(scene->listener4);
	check_record(scene, &record, SECOND4, AF_INET);
	scene_join(pid);
	CHECK(scene_flow_entries(scene) == 0);
}

static void reconnect_replaces_the_record(void **state)
{
	(void)state;
	scene_run(play_reconnect);
}

static void bind_one_port(int fd)
{
	struct sockaddr_in source = { .sin_family = AF_INET, .sin_port = htons(33333) };
	int one = 1;

	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK_SYS(bind(fd, (struct sockaddr *)&source, sizeof(source)));
}

static void connect_from_one_port(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
	struct linger abort_at_close = { .l_onoff = 1 };

	(void)scene;
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_close, sizeof(abort_at_close)));
	bind_one_port(fd);
	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	read_word(fd);
}

static void play_reuse(struct scene *scene)
{
	for (int i = 0; i < 20; i++) {
		expect_redirected(scene, connect_from_one_port, PUBLIC4, scene->listener4, AF_INET);
		expect_redirected(scene, connect_from_one_port, SECOND4, scene->listener4, AF_INET);
	}
}

static void a_source_port_used_again_has_the_new_record(void **state)
{
	(void)state;
	scene_run(play_reuse);
}

static void leave_unaccepted(const struct scene *scene, const void *text)
{
	int fd = CHECK_OK(dial(text, 443));

	(void)scene;
	CHECK(write(fd, FIRST_DATA, strlen(FIRST_DATA)) == (ssize_t)strlen(FIRST_DATA));
	close(fd);
}

// Written and closed before anybody accepts: still known, still readable.
static void play_early_close(struct scene *scene)
{
	struct sg_flow_record record;
	char data[32] = "";
	int fd;

	scene_act(scene, leave_unaccepted, PUBLIC4);
	fd = scene_accept(scene->listener4);
	CHECK_OK(scene_flow(fd, &record));
	check_record(scene, &record, PUBLIC4, AF_INET);
	CHECK(read(fd, data, sizeof(data)) == (ssize_t)strlen(FIRST_DATA));
	// Told once only.
	CHECK(scene_flow(fd, &record) == -ENOENT);
	close(fd);
}

static void closed_before_it_was_accepted(void **state)
{
	(void)state;
	scene_run(play_early_close);
}

// As leave_unaccepted, from a port that can be used again, for the listener to die with it.
static void leave_from_one_port(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	(void)scene;
	bind_one_port(fd);
	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	CHECK_SYS(shutdown(fd, SHUT_WR));
}

// An orderly end keeps the entry for the accept. When that never comes, the next connection with
// the same source must not be taken for it.
static void play_stale(struct scene *scene)
{
	scene_act(scene, leave_from_one_port, PUBLIC4);
	CHECK(scene_flow_entries(scene) == 1);
	close(scene->listener4);
	scene->port4 = 0;
	scene->listener4 = listen_on("127.0.0.1", &scene->port4);
	CHECK_OK(sg_redirect_set_listener(
		scene->redirect, scene->netns_cookie, scene->port4, scene->port6));
	expect_redirected(scene, connect_from_one_port, SECOND4, scene->listener4, AF_INET);
	CHECK(scene_flow_entries(scene) == 0);
}

static void what_was_never_accepted_is_replaced(void **state)
{
	(void)state;
	scene_run(play_stale);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_1_ipv4),
		cmocka_unit_test(row_2_ipv6),
		cmocka_unit_test(row_3_mapped),
		cmocka_unit_test(row_4_mptcp),
		cmocka_unit_test(row_5_fast_open),
		cmocka_unit_test(row_6_io_uring),
		cmocka_unit_test(reconnect_replaces_the_record),
		cmocka_unit_test(a_source_port_used_again_has_the_new_record),
		cmocka_unit_test(closed_before_it_was_accepted),
		cmocka_unit_test(what_was_never_accepted_is_replaced),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
