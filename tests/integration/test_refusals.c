// SPDX-License-Identifier: Apache-2.0
// What must be refused, what must stay direct, and what holds when the processes of ours are gone.
// The numbers are those of the table in docs/interception.md.
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "scene.h"

// ---- 7: QUIC ----

static int datagram(const char *text)
{
	return CHECK_SYS(socket(family_of(text), SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int send_to(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);

	return sendto(fd, "x", 1, 0, (struct sockaddr *)&address, address_length(&address)) < 0
		       ? -errno
		       : 0;
}

static int connect_datagram(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);

	return connect(fd, (struct sockaddr *)&address, address_length(&address)) < 0 ? -errno : 0;
}

static int send_many(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct mmsghdr messages[2] = { 0 };

	for (size_t i = 0; i < SG_ARRAY_SIZE(messages); i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &address,
			.msg_namelen = address_length(&address),
			.msg_iov = &data,
			.msg_iovlen = 1,
		};
	return sendmmsg(fd, messages, SG_ARRAY_SIZE(messages), 0) < 0 ? -errno : 0;
}

static void try_quic(const struct scene *scene, const void *text)
{
	int fd = datagram(text);

	(void)scene;
	CHECK(send_to(fd, text, 443) == -EPERM);
	CHECK(send_many(fd, text, 443) == -EPERM);
	CHECK(connect_datagram(fd, text, 443) == -EPERM);
	// After a refused connect the socket is not connected.
	CHECK(send(fd, "x", 1, 0) < 0 && (errno == EDESTADDRREQ || errno == ENOTCONN));
}

// Other datagrams are none of our business: there is no route here, and that is the error.
static void try_other_datagrams(const struct scene *scene, const void *text)
{
	int fd = datagram(text);

	(void)scene;
	CHECK(send_to(fd, text, 53) == -ENETUNREACH);
	CHECK(connect_datagram(fd, text, 53) == -ENETUNREACH);
	CHECK(send_to(fd, strchr(text, ':') ? "::1" : "127.0.0.1", 443) == 0);
}

static void play_7(struct scene *scene)
{
	static const char *const addresses[] = { PUBLIC4, PUBLIC6, MAPPED4, "10.1.2.3" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(addresses); i++)
		scene_act(scene, try_quic, addresses[i]);
	CHECK(scene_count(scene, SG_REASON_QUIC) == 3 * SG_ARRAY_SIZE(addresses));
	scene_act(scene, try_other_datagrams, PUBLIC4);
	scene_act(scene, try_other_datagrams, PUBLIC6);
}

static void row_7_quic(void **state)
{
	(void)state;
	scene_run(play_7);
}

// ---- 16: the enforcer's own port ----

static void address_the_listener(const struct scene *scene, const void *argument)
{
	(void)argument;
	CHECK(dial("127.0.0.1", scene->port4) == -EPERM);
	CHECK(dial("0.0.0.0", scene->port4) == -EPERM);
	CHECK(dial("::ffff:127.0.0.1", scene->port4) == -EPERM);
	CHECK(dial("::ffff:0.0.0.0", scene->port4) == -EPERM);
	CHECK(dial("::1", scene->port6) == -EPERM);
	CHECK(dial("::", scene->port6) == -EPERM);
}

// Nor with a socket that was sent there once.
static void address_it_after_a_redirect(const struct scene *scene, const void *argument)
{
	int fd = CHECK_OK(dial(PUBLIC4, 443));

	(void)argument;
	read_word(fd);
	CHECK(redial(fd, "127.0.0.1", scene->port4) == -EPERM);
}

static void play_16(struct scene *scene)
{
	pid_t pid;

	scene_act(scene, address_the_listener, NULL);
	CHECK(scene_count(scene, SG_REASON_OWN_PORT) == 6);
	pid = scene_agent(scene, scene->agent_fd, address_it_after_a_redirect, NULL);
	scene_serve(scene->listener4);
	scene_join(pid);
}

static void row_16_own_port(void **state)
{
	(void)state;
	scene_run(play_16);
}

// ---- 17: the listener's port while nobody has it ----

static int try_bind(const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;

	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	return bind(fd, (struct sockaddr *)&address, address_length(&address)) < 0 ? -errno : 0;
}

static void squat(const struct scene *scene, const void *argument)
{
	(void)argument;
	CHECK(try_bind("127.0.0.1", scene->port4) == -EPERM);
	CHECK(try_bind("0.0.0.0", scene->port4) == -EPERM);
	CHECK(try_bind("::", scene->port4) == -EPERM);
	CHECK(try_bind("::ffff:127.0.0.1", scene->port4) == -EPERM);
	CHECK(try_bind("::1", scene->port6) == -EPERM);
	CHECK(try_bind("::1", 0) == 0);
	CHECK(try_bind("127.0.0.1", 0) == 0);
}

static void play_17(struct scene *scene)
{
	close(scene->listener4);
	close(scene->listener6);
	scene_act(scene, squat, NULL);
	CHECK(scene_count(scene, SG_REASON_BIND) == 5);
}

static void row_17_squatting(void **state)
{
	(void)state;
	scene_run(play_17);
}

// ---- 18: a namespace of its own ----

static void leave_the_namespace(const struct scene *scene, const void *flags)
{
	(void)scene;
	CHECK_SYS(unshare(*(const int *)flags));
	CHECK(dial(PUBLIC4, 443) == -EPERM);
	CHECK(dial(PUBLIC6, 443) == -EPERM);
	CHECK(dial(MAPPED4, 443) == -EPERM);
}

static void play_18(struct scene *scene)
{
	static const int flags[] = { CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS };

	for (size_t i = 0; i < SG_ARRAY_SIZE(flags); i++)
		scene_act(scene, leave_the_namespace, &flags[i]);
	CHECK(scene_count(scene, SG_REASON_NO_LISTENER) == 6);
}

static void row_18_own_namespaces(void **state)
{
	(void)state;
	scene_run(play_18);
}

// ---- 36: enforcer gone, warden gone ----

static void expect_refused(const struct scene *scene, const void *argument)
{
	(void)scene;
	CHECK(dial(PUBLIC4, 443) == *(const int *)argument);
	CHECK(dial(PUBLIC6, 443) == *(const int *)argument);
	CHECK(dial(MAPPED4, 443) == *(const int *)argument);
}

static void connect_plainly(const struct scene *scene, const void *argument)
{
	(void)scene;
	(void)argument;
	read_word(CHECK_OK(dial(PUBLIC4, 443)));
}

static void count_agents(void *context, uint32_t agent_id, uint64_t cgroup_id, bool alive)
{
	CHECK(agent_id == AGENT && cgroup_id != 0 && alive);
	++*(unsigned *)context;
}

static void play_36(struct scene *scene)
{
	int refused = -ECONNREFUSED, no_listener = -EPERM;
	unsigned agents = 0;
	pid_t pid;

	// The warden dies: what is pinned goes on.
	scene->redirect = sg_redirect_close(scene->redirect);
	pid = scene_agent(scene, scene->agent_fd, connect_plainly, NULL);
	CHECK(scene_serve(scene->listener4).agent_id == AGENT);
	scene_join(pid);
	// The enforcer, too: refused, and nothing is left behind of those connections.
	close(scene->listener4);
	close(scene->listener6);
	scene_act(scene, expect_refused, &refused);
	CHECK(scene_flow_entries(scene) == 0);
	// Back again, with the links of before, and no listener until one is there.
	scene_open(scene);
	CHECK_OK(sg_redirect_attach_service(scene->redirect, scene->service_fd, &scene->error));
	CHECK_OK(sg_redirect_each_agent(scene->redirect, count_agents, &agents));
	CHECK(agents == 1);
	CHECK_OK(sg_redirect_clear_listener(scene->redirect, scene->netns_cookie));
	scene_act(scene, expect_refused, &no_listener);
	scene_listen(scene);
	pid = scene_agent(scene, scene->agent_fd, connect_plainly, NULL);
	CHECK(scene_serve(scene->listener4).agent_id == AGENT);
	scene_join(pid);
}

static void row_36_death_and_return(void **state)
{
	(void)state;
	scene_run(play_36);
}

// ---- Direct ----

static void connect_directly(const struct scene *scene, const void *port)
{
	int fd = CHECK_OK(dial("127.0.0.1", *(const uint16_t *)port));

	(void)scene;
	read_word(fd);
	check_peer(fd, "127.0.0.1", *(const uint16_t *)port);
}

static void connect_to_private(const struct scene *scene, const void *want)
{
	(void)scene;
	CHECK(dial("10.1.2.3", 443) == *(const int *)want);
	CHECK(dial("fd00::1", 443) == *(const int *)want);
}

static void connect_to_endpoint(const struct scene *scene, const void *text)
{
	int fd = CHECK_OK(dial(text, 443));

	(void)scene;
	check_peer(fd, text, 443);
	read_word(fd);
	CHECK(dial(text, 444) == -ENETUNREACH);
}

static void play_direct(struct scene *scene)
{
	struct sg_flow_record record;
	int unreachable = -ENETUNREACH;
	uint16_t port = 0;
	uint8_t address[16];
	int server = listen_on("127.0.0.1", &port), fd;
	pid_t pid = scene_agent(scene, scene->agent_fd, connect_directly, &port);

	fd = scene_accept(server);
	CHECK(scene_flow(fd, &record) == -ENOENT);
	CHECK(write(fd, SERVER_WORD, strlen(SERVER_WORD)) == (ssize_t)strlen(SERVER_WORD));
	scene_join(pid);
	scene_act(scene, connect_to_private, &unreachable);
	// Registered: that address and port, and no other.
	mapped_bytes("10.1.2.3", address);
	CHECK_OK(sg_redirect_add_endpoint(scene->redirect, address, 443));
	pid = scene_agent(scene, scene->agent_fd, connect_to_endpoint, "10.1.2.3");
	record = scene_serve(scene->listener4);
	CHECK(memcmp(record.destination, address, sizeof(address)) == 0);
	scene_join(pid);
	CHECK_OK(sg_redirect_remove_endpoint(scene->redirect, address, 443));
	scene_act(scene, connect_to_private, &unreachable);
}

static void private_addresses_are_direct_unless_registered(void **state)
{
	(void)state;
	scene_run(play_direct);
}

// ---- The unspecified address ----

// From `source`, or from wherever the kernel likes; getpeername() says where it went.
struct unspecified {
	const char *source, *text, *settled;
	uint16_t port;
};

static void connect_unspecified(const struct scene *scene, const void *argument)
{
	const struct unspecified *row = argument;
	struct sockaddr_in6 address = make_address(row->text, row->port);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	(void)scene;
	if (row->source) {
		struct sockaddr_in6 source = make_address(row->source, 0);

		CHECK_SYS(bind(fd, (struct sockaddr *)&source, address_length(&source)));
	}
	CHECK_SYS(connect(fd, (struct sockaddr *)&address, address_length(&address)));
	check_peer(fd, row->settled, row->port);
	read_word(fd);
}

static void expect_settled(struct scene *scene, const struct unspecified *row)
{
	bool ipv4 = !strchr(row->settled, ':') || strncmp(row->settled, "::ffff:", 7) == 0;
	pid_t pid = scene_agent(scene, scene->agent_fd, connect_unspecified, row);
	struct sg_flow_record record = scene_serve(ipv4 ? scene->listener4 : scene->listener6);
	uint8_t want[16];

	mapped_bytes(row->settled, want);
	CHECK(memcmp(record.destination, want, sizeof(want)) == 0);
	CHECK(record.destination_port == row->port);
	scene_join(pid);
}

static void reach_server(const struct scene *scene, const void *port)
{
	int fd = CHECK_OK(dial("0.0.0.0", *(const uint16_t *)port));

	(void)scene;
	check_peer(fd, "127.0.0.1", *(const uint16_t *)port);
}

// A server on loopback that is registered is not reached around the enforcer by another name of it.
static void play_unspecified(struct scene *scene)
{
	static const char *const registered[] = { "127.0.0.1", "127.0.0.2", "::1" };
	const struct unspecified rows[] = { { NULL, "0.0.0.0", "127.0.0.1", 9443 },
		{ "127.0.0.2", "0.0.0.0", "127.0.0.2", 9443 },
		{ NULL, "::ffff:0.0.0.0", "::ffff:127.0.0.1", 9443 },
		{ "::ffff:127.0.0.2", "::ffff:0.0.0.0", "::ffff:127.0.0.2", 9443 },
		{ NULL, "::", "::1", 9443 }, { "::1", "::", "::1", 9443 },
		{ "::ffff:127.0.0.2", "::", "::ffff:127.0.0.1", 9443 } };
	uint8_t address[16];
	uint16_t port = 0;
	int server = listen_on("127.0.0.1", &port);

	for (size_t i = 0; i < SG_ARRAY_SIZE(registered); i++) {
		mapped_bytes(registered[i], address);
		CHECK_OK(sg_redirect_add_endpoint(scene->redirect, address, 9443));
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		expect_settled(scene, &rows[i]);
	scene_act(scene, reach_server, &port); // any other goes there as ever
	close(server);
}

static void the_unspecified_address_is_loopback(void **state)
{
	(void)state;
	scene_run(play_unspecified);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_7_quic),
		cmocka_unit_test(row_16_own_port),
		cmocka_unit_test(row_17_squatting),
		cmocka_unit_test(row_18_own_namespaces),
		cmocka_unit_test(row_36_death_and_return),
		cmocka_unit_test(private_addresses_are_direct_unless_registered),
		cmocka_unit_test(the_unspecified_address_is_loopback),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
