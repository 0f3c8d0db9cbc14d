// SPDX-License-Identifier: Apache-2.0
#include "redirect/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "redirect/cgroup.h"
#include "redirect/netns.h"

#define GROUPS_LIMIT   4096
#define NETWORKS_LIMIT 64
#define SOCKETS_LIMIT  65536
#define DEPTH_LIMIT    12
#define QUIC_PORT      443
#define TCP_LISTEN     10
#define TCP_STATES     (~(1u << TCP_LISTEN))

// What connected while they were listed is found by another look.
#define MOST_LOOKS 4

struct network {
	int fd;
	dev_t device;
	ino_t number;
};

struct groups {
	uint64_t ids[GROUPS_LIMIT];
	unsigned count;
	unsigned left_out;			 // whose sockets are not looked at
	struct network networks[NETWORKS_LIMIT]; // that their processes are in
	unsigned network_count;
};

struct found {
	enum sg_sockets_kind kind;
	struct inet_diag_req_v2 *requests;
	unsigned count;
	unsigned left_out;
};

// ---- Which groups, and which network namespaces ----

// Takes the descriptor.
static void add_network(struct groups *groups, int fd)
{
	struct network network = { .fd = fd };
	struct stat status;
	unsigned i = 0;

	if (fd < 0)
		return; // it has ended
	if (fstat(fd, &status) == 0) {
		network.device = status.st_dev;
		network.number = status.st_ino;
	}
	while (i < groups->network_count && (groups->networks[i].device != network.device ||
						    groups->networks[i].number != network.number))
		i++;
	if (i == groups->network_count && i < NETWORKS_LIMIT) {
		groups->networks[groups->network_count++] = network;
		return;
	}
	groups->left_out += i == groups->network_count;
	close(fd);
}

static void add_networks(struct groups *groups, int cgroup_fd)
{
	int fd = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC), pid;
	FILE *list = fd < 0 ? NULL : fdopen(fd, "r");
	char path[64];

	while (list && fscanf(list, "%d", &pid) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
		add_network(groups, open(path, O_RDONLY | O_CLOEXEC));
	}
	if (list)
		fclose(list);
	else if (fd >= 0)
		close(fd);
}

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
	add_networks(groups, cgroup_fd);
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

static bool is_wanted(
	const struct inet_diag_msg *message, uint8_t protocol, enum sg_sockets_kind kind)
{
	if (message->id.idiag_dport == 0)
		return false;
	if (kind == SG_SOCKETS_CONNECTED)
		return true;
	return !is_loopback(message) &&
	       (protocol == IPPROTO_TCP || ntohs(message->id.idiag_dport) == QUIC_PORT);
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

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)) ||
		!is_wanted(message, protocol, found->kind) ||
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

static int send_message(int fd, uint16_t type, uint16_t flags, const void *body, size_t length)
{
	struct {
		struct nlmsghdr header;
		uint8_t body[sizeof(struct inet_diag_req)]; // the longer of the two
	} message = { .header = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(length),
			      .nlmsg_type = type,
			      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) } };

	memcpy(message.body, body, length);
	return send(fd, &message, NLMSG_LENGTH(length), 0) < 0 ? -errno : 0;
}

static int receive_list(int fd, const struct groups *groups, struct found *found, uint8_t protocol)
{
	static char buffer[64 * 1024] __attribute__((aligned(8)));

	for (;;) {
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
}

// Of both families at once, as only the older request has it: each list is a walk over the host's
// whole table, which takes milliseconds where there is much memory.
static int list_tcp(int fd, const struct groups *groups, struct found *found)
{
	const struct inet_diag_req request = { .idiag_family = AF_INET,
		.idiag_states = TCP_STATES };
	int r = send_message(fd, TCPDIAG_GETSOCK, NLM_F_DUMP, &request, sizeof(request));

	return r < 0 ? r : receive_list(fd, groups, found, IPPROTO_TCP);
}

static int list_udp(int fd, const struct groups *groups, struct found *found, int family)
{
	const struct inet_diag_req_v2 request = {
		.sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_UDP, .idiag_states = ~0u
	};
	int r = send_message(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request));

	if (r == 0)
		r = receive_list(fd, groups, found, IPPROTO_UDP);
	return r == -ENOENT ? 0 : r; // a kernel without diagnosis of UDP, or without IPv6
}

// ---- Ending ----

static int end_one(int fd, const struct inet_diag_req_v2 *request)
{
	char buffer[1024] __attribute__((aligned(8)));
	const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
	int r = send_message(fd, SOCK_DESTROY, NLM_F_ACK, request, sizeof(*request));
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

// Lists once, and ends what it finds.
static int look(
	int fd, const struct groups *groups, struct found *found, struct sg_sockets_result *result)
{
	int r;

	found->count = found->left_out = 0;
	result->left = 0;
	r = list_tcp(fd, groups, found);
	if (r == 0)
		r = list_udp(fd, groups, found, AF_INET);
	if (r == 0)
		r = list_udp(fd, groups, found, AF_INET6);
	if (r == 0)
		r = end_all(fd, found, result);
	result->left += found->left_out + groups->left_out;
	return r;
}

static int end_inside(int netns_fd, const struct groups *groups, enum sg_sockets_kind kind,
	struct sg_sockets_result *result)
{
	SG_CLEANUP_CLOSE int fd =
		sg_netns_socket(netns_fd, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct found found = { .kind = kind,
		.requests = calloc(SOCKETS_LIMIT, sizeof(*found.requests)) };
	int r = found.requests ? 0 : -ENOMEM;

	if (r == 0 && fd < 0)
		r = fd;
	for (unsigned i = 0; r == 0 && i < MOST_LOOKS && (i == 0 || found.count); i++)
		r = look(fd, groups, &found, result);
	free(found.requests);
	return r;
}

int sg_sockets_end(int cgroup_fd, int netns_fd, enum sg_sockets_kind kind,
	struct sg_sockets_result *ret_result, struct sg_error *error)
{
	struct groups *groups = calloc(1, sizeof(*groups));
	struct sg_sockets_result result = { 0, 0 }, part;
	int r = groups ? 0 : -ENOMEM;

	if (r == 0) {
		add_network(groups, fcntl(netns_fd, F_DUPFD_CLOEXEC, 0));
		add_groups(groups, cgroup_fd, 0);
	}
	for (unsigned i = 0; groups && i < groups->network_count; i++) {
		part = (struct sg_sockets_result){ 0, 0 };
		if (r == 0)
			r = end_inside(groups->networks[i].fd, groups, kind, &part);
		result.ended += part.ended;
		result.left += part.left;
		close(groups->networks[i].fd);
	}
	free(groups);
	*ret_result = result;
	if (r == -EOPNOTSUPP)
		return sg_error_set(
			error, r, "this kernel can't end connections (CONFIG_INET_DIAG_DESTROY)");
	if (r < 0)
		return sg_error_set(error, r, "its connections can't be listed: %s", strerror(-r));
	if (ret_result->left)
		return sg_error_set(error, -EBUSY,
			"at least %u connections, or groups with some, are left", ret_result->left);
	return 0;
}
