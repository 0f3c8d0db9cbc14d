// SPDX-License-Identifier: Apache-2.0
#include "container/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "redirect/cgroup.h"

#define GROUPS_LIMIT  4096
#define SOCKETS_LIMIT 65536
#define DEPTH_LIMIT   12
#define QUIC_PORT     443
#define TCP_LISTEN    10
#define TCP_STATES    (~(1u << TCP_LISTEN))

struct groups {
	uint64_t ids[GROUPS_LIMIT];
	unsigned count;
	unsigned left_out; // whose sockets are not looked at
};

struct found {
	struct inet_diag_req_v2 *requests;
	unsigned count;
	unsigned left_out;
};

// ---- Which groups ----

// NOLINTNEXTLINE(misc-no-recursion): as deep as DEPTH_LIMIT
static void add_groups(struct groups *groups, int cgroup_fd, unsigned depth)
{
	int fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (depth > DEPTH_LIMIT || groups->count == GROUPS_LIMIT)
		groups->left_out++;
	else if (sg_cgroup_id(cgroup_fd, &groups->ids[groups->count]) == 0)
		groups->count++;
	while (entries && depth <= DEPTH_LIMIT && (entry = readdir(entries))) {
		SG_CLEANUP_CLOSE int child = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = openat(cgroup_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0)
			add_groups(groups, child, depth + 1);
	}
	if (entries)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
}

static bool has_group(const struct groups *groups, uint64_t id)
{
	for (unsigned i = 0; i < groups->count; i++)
		if (groups->ids[i] == id)
			return true;
	return false;
}

// ---- Listing ----

static bool is_loopback(const struct inet_diag_msg *message)
{
	const struct in6_addr *address = (const struct in6_addr *)message->id.idiag_dst;

	if (message->idiag_family == AF_INET)
		return (ntohl(message->id.idiag_dst[0]) >> 24) == 127;
	return IN6_IS_ADDR_LOOPBACK(address) ||
	       (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

static bool is_wanted(const struct inet_diag_msg *message, uint8_t protocol)
{
	if (is_loopback(message) || message->id.idiag_dport == 0)
		return false;
	return protocol == IPPROTO_TCP || ntohs(message->id.idiag_dport) == QUIC_PORT;
}

static uint64_t group_of(const struct nlmsghdr *header, const struct inet_diag_msg *message)
{
	const struct nlattr *at = (const struct nlattr *)(message + 1);
	size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof(*message));
	uint64_t id = 0;

	while (left >= sizeof(*at) && at->nla_len >= sizeof(*at) && at->nla_len <= left) {
		size_t step = NLA_ALIGN(at->nla_len);

		if (at->nla_type == INET_DIAG_CGROUP_ID && at->nla_len >= NLA_HDRLEN + sizeof(id))
			memcpy(&id, (const char *)at + NLA_HDRLEN, sizeof(id));
		if (step >= left)
			break;
		left -= step;
		at = (const struct nlattr *)((const char *)at + step);
	}
	return id;
}

static void take_socket(struct found *found, const struct groups *groups,
	const struct nlmsghdr *header, uint8_t protocol)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)) || !is_wanted(message, protocol) ||
		!has_group(groups, group_of(header, message)))
		return;
	if (found->count == SOCKETS_LIMIT) {
		found->left_out++;
		return;
	}
	found->requests[found->count++] = (struct inet_diag_req_v2){
		.sdiag_family = message->idiag_family,
		.sdiag_protocol = protocol,
		.idiag_states = ~0u,
		.id = message->id,
	};
}

static int send_message(int fd, uint16_t type, uint16_t flags, const struct inet_diag_req_v2 *body)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} message = { { .nlmsg_len = sizeof(message),
			      .nlmsg_type = type,
			      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		*body };

	return send(fd, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

static int list(
	int fd, const struct groups *groups, struct found *found, int family, uint8_t protocol)
{
	const struct inet_diag_req_v2 request = { .sdiag_family = (uint8_t)family,
		.sdiag_protocol = protocol,
		.idiag_states = protocol == IPPROTO_TCP ? TCP_STATES : ~0u };
	static char buffer[64 * 1024] __attribute__((aligned(8)));
	int r = send_message(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request);

	while (r == 0) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;

		if (n < 0)
			return -errno;
		for (size_t left = (size_t)n; NLMSG_OK(header, left);
			header = NLMSG_NEXT(header, left)) {
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
			if (header->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
			take_socket(found, groups, header, protocol);
		}
	}
	return r;
}

// ---- Ending ----

static int end_one(int fd, const struct inet_diag_req_v2 *request)
{
	char buffer[1024] __attribute__((aligned(8)));
	const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
	int r = send_message(fd, SOCK_DESTROY, NLM_F_ACK, request);
	ssize_t n;

	if (r < 0)
		return r;
	n = recv(fd, buffer, sizeof(buffer), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || header->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

static int end_all(int fd, const struct found *found, struct sg_sockets_result *result)
{
	for (unsigned i = 0; i < found->count; i++) {
		int r = end_one(fd, &found->requests[i]);

		if (r == 0)
			result->ended++;
		else if (r != -ENOENT) // it has ended by itself
			result->left++;
		if (r == -EOPNOTSUPP)
			return r;
	}
	return 0;
}

static int end_inside(
	const struct sg_place *place, const struct groups *groups, struct sg_sockets_result *result)
{
	static const struct {
		int family;
		uint8_t protocol;
	} kinds[] = { { AF_INET, IPPROTO_TCP }, { AF_INET6, IPPROTO_TCP }, { AF_INET, IPPROTO_UDP },
		{ AF_INET6, IPPROTO_UDP } };
	struct found found = { .requests = calloc(SOCKETS_LIMIT, sizeof(*found.requests)) };
	SG_CLEANUP_CLOSE int fd = -1;
	int r = found.requests ? 0 : -ENOMEM;

	if (r == 0 && setns(place->netns_fd, CLONE_NEWNET) < 0)
		r = -errno;
	if (r == 0) {
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		r = fd < 0 ? -errno : 0;
	}
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(kinds); i++) {
		r = list(fd, groups, &found, kinds[i].family, kinds[i].protocol);
		// A kernel without diagnosis of UDP, or without IPv6.
		if (r == -ENOENT && i > 0)
			r = 0;
	}
	if (r == 0)
		r = end_all(fd, &found, result);
	result->left += found.left_out + groups->left_out;
	free(found.requests);
	return r;
}

// ---- The child ----

struct report {
	int result;
	struct sg_sockets_result sockets;
};

static int ask_child(
	const struct sg_place *place, const struct groups *groups, struct report *report)
{
	int fds[2];
	ssize_t n;
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		report->result = end_inside(place, groups, &report->sockets);
		n = write(fds[1], report, sizeof(*report));
		_exit(n == sizeof(*report) ? 0 : 1);
	}
	close(fds[1]);
	n = child < 0 ? -1 : read(fds[0], report, sizeof(*report));
	close(fds[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return n == sizeof(*report) ? 0 : -EIO;
}

int sg_sockets_end(
	const struct sg_place *place, struct sg_sockets_result *ret_result, struct sg_error *error)
{
	struct groups *groups = calloc(1, sizeof(*groups));
	struct report report = { 0, { 0, 0 } };
	int r = groups ? 0 : -ENOMEM;

	if (r == 0) {
		add_groups(groups, place->cgroup_fd, 0);
		r = ask_child(place, groups, &report);
	}
	free(groups);
	if (r == 0)
		r = report.result;
	*ret_result = report.sockets;
	if (r == -EOPNOTSUPP)
		return sg_error_set(error, r,
			"this kernel can't end connections (CONFIG_INET_DIAG_DESTROY): those from "
			"before stay, unmetered, until they end: restart what runs");
	if (r < 0)
		return sg_error_set(
			error, r, "the connections from before can't be listed: %s", strerror(-r));
	if (ret_result->left)
		return sg_error_set(error, -EBUSY,
			"at least %u connections from before, or groups with some, are left: they "
			"stay, unmetered, until they end: restart what runs",
			ret_result->left);
	return 0;
}
