// SPDX-License-Identifier: Apache-2.0
// Sockets that were made, bound or marked in other ways, and those that no hook sees: what holds of
// them is told in docs/interception.md.
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <arpa/inet.h>

#include <cmocka.h>

#include "scene.h"

#define OWN4 "10.9.9.1" // an address of the stage's own

// ---- Redirected all the same ----

static int connect_to(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);

	return connect(fd, (struct sockaddr *)&address, address_length(&address)) < 0 ? -errno : 0;
}

static void connect_and_read(int fd)
{
	CHECK_OK(connect_to(fd, PUBLIC4, 443));
	check_peer(fd, PUBLIC4, 443);
	read_word(fd);
}

static void with_a_mark(const struct scene *scene, const void *argument)
{
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), mark = 0x5347;

	(void)scene;
	(void)argument;
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)));
	connect_and_read(fd);
}

static void on_a_device(const struct scene *scene, const void *name)
{
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	(void)scene;
	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)));
	connect_and_read(fd);
}

static void from_an_address(const struct scene *scene, const void *text)
{
	struct sockaddr_in6 source = make_address(text, 0);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));

	(void)scene;
	CHECK_SYS(bind(fd, (struct sockaddr *)&source, address_length(&source)));
	connect_and_read(fd);
}

// By a thread of the kernel, which is the process' own.
static void made_by_a_ring(const struct scene *scene, const void *argument)
{
	(void)scene;
	(void)argument;
	connect_and_read(CHECK_OK(socket_with_io_uring(AF_INET, SOCK_STREAM)));
}

static void add_own_address(void)
{
	struct ifreq request = { .ifr_name = "lo:1" };
	struct sockaddr_in6 address = make_address(OWN4, 0);
	int fd = CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	memcpy(&request.ifr_addr, &address, sizeof(request.ifr_addr));
	CHECK_SYS(ioctl(fd, SIOCSIFADDR, &request));
	close(fd);
}

static void play_options(struct scene *scene)
{
	static const struct {
		agent_fn agent;
		const char *argument;
	} rows[] = { { with_a_mark, NULL }, { on_a_device, "lo" }, { from_an_address, OWN4 },
		{ from_an_address, "127.0.0.2" }, { made_by_a_ring, NULL } };

	add_own_address();
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		pid_t pid = scene_agent(scene, scene->agent_fd, rows[i].agent, rows[i].argument);

		CHECK(scene_serve(scene->listener4).agent_id == AGENT);
		scene_join(pid);
	}
}

static void marks_devices_sources_and_rings_change_nothing(void **state)
{
	(void)state;
	scene_run(play_options);
}

// ---- Datagrams to port 443, by other doors ----

static void expect_no_quic(int fd, const char *text)
{
	struct sockaddr_in6 address = make_address(text, 443);
	struct iovec data = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
	struct msghdr message = { .msg_name = &address,
		.msg_namelen = address_length(&address),
		.msg_iov = &data,
		.msg_iovlen = 1 };

	CHECK(sendmsg(fd, &message, 0) < 0 && errno == EPERM);
	CHECK(send_with_io_uring(fd, &message) == -EPERM);
	CHECK(connect_to(fd, text, 443) == -EPERM);
	close(fd);
}

static void send_datagrams(const struct scene *scene, const void *argument)
{
	(void)scene;
	(void)argument;
	expect_no_quic(CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), PUBLIC4);
	expect_no_quic(CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0)), PUBLIC6);
	// A socket of IPv6 takes an address of IPv4, too.
	expect_no_quic(CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0)), PUBLIC4);
	expect_no_quic(CHECK_OK(socket_with_io_uring(AF_INET, SOCK_DGRAM)), PUBLIC4);
}

static void play_datagrams(struct scene *scene)
{
	scene_act(scene, send_datagrams, NULL);
	CHECK(scene_count(scene, SG_REASON_QUIC) == 12);
}

static void row_7_datagrams_by_other_doors(void **state)
{
	(void)state;
	scene_run(play_datagrams);
}

// ---- Not seen ----

// What the hooks refuse fails with EPERM; here there is only no way out of the stage.
static void send_raw(const struct scene *scene, const void *argument)
{
	struct sockaddr_in6 address = make_address(PUBLIC4, 0);
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} packet = { .ip = { .version = 4,
			     .ihl = 5,
			     .ttl = 64,
			     .protocol = IPPROTO_UDP,
			     .tot_len = htons(sizeof(packet)),
			     .daddr = inet_addr(PUBLIC4) },
		.udp = { .dest = htons(443), .len = htons(sizeof(packet.udp)) } };
	int fd = CHECK_SYS(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));

	(void)scene;
	(void)argument;
	CHECK(sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&address,
		      address_length(&address)) < 0);
	CHECK(errno == ENETUNREACH);
}

static void send_frame(const struct scene *scene, const void *argument)
{
	static const char frame[64];
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex("lo"),
		.sll_halen = ETH_ALEN };
	int fd = CHECK_SYS(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));

	(void)scene;
	(void)argument;
	CHECK(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)) ==
		(ssize_t)sizeof(frame));
}

// Where the kernel has none, there is nobody to talk to.
static void connect_vsock(const struct scene *scene, const void *argument)
{
	struct sockaddr_vm host = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 443
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	(void)scene;
	(void)argument;
	if (fd < 0) {
		CHECK(errno == EAFNOSUPPORT);
		return;
	}
	CHECK(connect(fd, (struct sockaddr *)&host, sizeof(host)) < 0 && errno != EPERM);
}

static struct sockaddr_un relay_address(socklen_t *ret_length)
{
	static const char name[] = "spendgate-test-relay";
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path + 1, name, sizeof(name));
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof(name));
	return address;
}

static void ask_relay(const struct scene *scene, const void *argument)
{
	int fd = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
	socklen_t length;
	struct sockaddr_un address = relay_address(&length);

	(void)scene;
	(void)argument;
	CHECK_SYS(connect(fd, (struct sockaddr *)&address, length));
	read_word(fd);
}

// One who runs outside and dials for the agent: by the name of a Unix socket of the same network
// namespace here, by loopback in test_refusals.c.
static void play_relay(struct scene *scene)
{
	int server = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), fd;
	socklen_t length;
	struct sockaddr_un address = relay_address(&length);
	pid_t pid;

	CHECK_SYS(bind(server, (struct sockaddr *)&address, length));
	CHECK_SYS(listen(server, 1));
	pid = scene_agent(scene, scene->agent_fd, ask_relay, NULL);
	fd = scene_accept(server);
	CHECK(write(fd, SERVER_WORD, strlen(SERVER_WORD)) == (ssize_t)strlen(SERVER_WORD));
	scene_join(pid);
	close(fd);
	close(server);
}

static void play_unseen(struct scene *scene)
{
	scene_act(scene, send_raw, NULL);
	scene_act(scene, send_frame, NULL);
	scene_act(scene, connect_vsock, NULL);
	play_relay(scene);
	for (int reason = 0; reason < SG_REASON_MAX; reason++)
		CHECK(scene_count(scene, (enum sg_reason)reason) == 0);
}

static void rows_12_to_14_and_41_are_not_seen(void **state)
{
	(void)state;
	scene_run(play_unseen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_devices_sources_and_rings_change_nothing),
		cmocka_unit_test(row_7_datagrams_by_other_doors),
		cmocka_unit_test(rows_12_to_14_and_41_are_not_seen),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
