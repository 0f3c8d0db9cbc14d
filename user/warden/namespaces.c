// SPDX-License-Identifier: Apache-2.0
#include "warden/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "redirect/netns.h"

#define BACKLOG 4096

// ---- Inside a namespace ----

static int make_socket(int netns_fd, int family)
{
	return sg_netns_socket(netns_fd, family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// A listener on its loopback. Returns a descriptor or -errno.
static int listen_on_loopback(int netns_fd, int family, uint16_t *ret_port)
{
	struct sockaddr_in6 address6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in address4 = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *address =
		family == AF_INET6 ? (struct sockaddr *)&address6 : (struct sockaddr *)&address4;
	socklen_t length = family == AF_INET6 ? sizeof(address6) : sizeof(address4);
	int fd = make_socket(netns_fd, family), r;

	if (fd < 0)
		return fd;
	if (bind(fd, address, length) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, address, &length) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_port = ntohs(family == AF_INET6 ? address6.sin6_port : address4.sin_port);
	return fd;
}

int sg_namespace_cookie(int netns_fd, uint64_t *ret_cookie)
{
	SG_CLEANUP_CLOSE int fd = make_socket(netns_fd, AF_INET);
	socklen_t length = sizeof(*ret_cookie);

	if (fd < 0)
		return fd;
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &length) < 0 ? -errno : 0;
}

// ---- The table ----

static struct sg_namespace *find(const struct sg_namespaces *namespaces, uint64_t cookie)
{
	struct sg_namespace *item = namespaces->first;

	while (item && item->listener.netns_cookie != cookie)
		item = item->next;
	return item;
}

static struct sg_namespace *free_namespace(struct sg_namespace *item)
{
	if (item->netns_fd >= 0)
		close(item->netns_fd);
	for (int i = 0; i < 2; i++)
		if (item->fds[i] >= 0)
			close(item->fds[i]);
	free(item);
	return NULL;
}

static struct sg_namespace *new_namespace(struct sg_namespaces *namespaces, uint64_t cookie)
{
	struct sg_namespace *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->netns_fd = item->fds[0] = item->fds[1] = -1;
	item->listener.netns_cookie = cookie;
	item->next = namespaces->first;
	namespaces->first = item;
	return item;
}

static void remove_namespace(struct sg_namespaces *namespaces, struct sg_namespace *item)
{
	struct sg_namespace **link = &namespaces->first;

	while (*link != item)
		link = &(*link)->next;
	*link = item->next;
	free_namespace(item);
}

// IPv6 may be switched off in a namespace: then only IPv4 is listened on, and IPv6 connects are
// refused by the hook.
static int open_listeners(struct sg_namespace *item, int netns_fd)
{
	int fd = listen_on_loopback(netns_fd, AF_INET, &item->listener.port4);

	if (fd < 0)
		return fd;
	item->fds[0] = fd;
	fd = listen_on_loopback(netns_fd, AF_INET6, &item->listener.port6);
	item->fds[1] = fd < 0 ? -1 : fd;
	return 0;
}

static int start_namespace(
	struct sg_namespaces *namespaces, struct sg_namespace *item, int netns_fd)
{
	int r = 0;

	item->netns_fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 0);
	if (item->netns_fd < 0)
		return -errno;
	if (item->fds[0] < 0 && item->fds[1] < 0)
		r = open_listeners(item, netns_fd);
	if (r == 0)
		r = sg_redirect_set_listener(namespaces->redirect, item->listener.netns_cookie,
			item->listener.port4, item->listener.port6);
	return r;
}

int sg_namespaces_use(struct sg_namespaces *namespaces, int netns_fd,
	struct sg_namespace **ret_namespace, struct sg_error *error)
{
	struct sg_namespace *item;
	uint64_t cookie;
	int r = sg_namespace_cookie(netns_fd, &cookie);

	if (r < 0)
		return sg_error_set(error, r, "the agent's network namespace can't be entered: %s",
			strerror(-r));
	item = find(namespaces, cookie);
	if (!item)
		item = new_namespace(namespaces, cookie);
	if (!item)
		return sg_error_set(error, -ENOMEM, "out of memory");
	if (item->netns_fd < 0) {
		r = start_namespace(namespaces, item, netns_fd);
		if (r < 0) {
			remove_namespace(namespaces, item);
			return sg_error_set(error, r,
				"no listener in the agent's network namespace: %s (%s)",
				strerror(-r),
				r == -EADDRINUSE ? "every port of its ip_local_port_range is taken"
						 : "is its loopback up? ip link set lo up");
		}
	}
	item->users++;
	*ret_namespace = item;
	return 0;
}

void sg_namespaces_release(struct sg_namespaces *namespaces, uint64_t netns_cookie, bool *ret_gone)
{
	struct sg_namespace *item = find(namespaces, netns_cookie);

	*ret_gone = false;
	if (!item || --item->users)
		return;
	sg_redirect_clear_listener(namespaces->redirect, netns_cookie);
	remove_namespace(namespaces, item);
	*ret_gone = true;
}

void sg_namespaces_adopt(
	struct sg_namespaces *namespaces, const struct sg_channel_listener *listener, int fds[2])
{
	struct sg_namespace *item = find(namespaces, listener->netns_cookie);

	if (!item)
		item = new_namespace(namespaces, listener->netns_cookie);
	if (!item || item->fds[0] >= 0 || item->fds[1] >= 0)
		return; // ours are the same sockets, or there is no memory and the caller closes
			// these
	item->listener = *listener;
	item->fds[0] = sg_fd_take(&fds[0]);
	item->fds[1] = sg_fd_take(&fds[1]);
}

static bool is_in_use(void *context, uint64_t netns_cookie)
{
	const struct sg_namespace *item = find(context, netns_cookie);

	return item && item->users;
}

void sg_namespaces_forget_unused(struct sg_namespaces *namespaces,
	void (*tell)(void *context, const struct sg_channel_listener *listener), void *context)
{
	struct sg_namespace *item, *next;

	sg_redirect_keep_listeners(namespaces->redirect, is_in_use, namespaces);
	for (item = namespaces->first; item; item = next) {
		next = item->next;
		if (item->users)
			continue;
		tell(context, &item->listener);
		remove_namespace(namespaces, item);
	}
}

int sg_namespaces_socket(struct sg_namespaces *namespaces, uint64_t netns_cookie, int family)
{
	const struct sg_namespace *item = find(namespaces, netns_cookie);

	if (!item || item->netns_fd < 0 || (family != AF_INET && family != AF_INET6))
		return -ENOENT;
	return make_socket(item->netns_fd, family);
}

int sg_namespaces_fd(const struct sg_namespaces *namespaces, uint64_t netns_cookie)
{
	const struct sg_namespace *item = find(namespaces, netns_cookie);

	return item && item->netns_fd >= 0 ? item->netns_fd : -ENOENT;
}

void sg_namespaces_shut(const struct sg_namespaces *namespaces)
{
	for (const struct sg_namespace *item = namespaces->first; item; item = item->next)
		for (int i = 0; i < 2; i++)
			if (item->fds[i] >= 0)
				shutdown(item->fds[i], SHUT_RDWR);
}

void sg_namespaces_done(struct sg_namespaces *namespaces)
{
	while (namespaces->first)
		remove_namespace(namespaces, namespaces->first);
}
