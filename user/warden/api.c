// SPDX-License-Identifier: Apache-2.0
#include "warden/api.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "warden/warden.h"

#define BACKLOG 64

static int open_unix(const char *path, mode_t mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	// Nobody can connect before it listens, and it has its mode by then.
	if (r == 0 && (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			      chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0))
		r = -errno;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

// The enforcer may still hold the socket of an earlier warden: both may listen until it lets go.
static int open_tcp(const char *text)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
	static const int on = 1, off = 0;
	uint16_t port;
	int fd, r = sg_address_parse(text, address.sin6_addr.s6_addr, &port);

	if (r < 0)
		return r;
	address.sin6_port = htons(port);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int sg_api_sockets_open(struct sg_warden *warden, struct sg_error *error)
{
	const json_t *api = json_object_get(warden->config, "api");
	const char *mode = json_string_value(json_object_get(api, "socket_mode"));
	const char *listen_at = json_string_value(json_object_get(api, "listen"));
	char path[PATH_MAX];
	int fd;

	if (!api)
		return 0;
	snprintf(path, sizeof(path), "%s/api.sock", warden->run_directory);
	fd = open_unix(path, (mode_t)strtoul(mode ? mode : "0600", NULL, 8));
	if (fd < 0)
		return sg_error_set(error, fd, "%s: %s", path, strerror(-fd));
	warden->api_fds[warden->api_fd_count++] = fd;
	if (!listen_at)
		return 0;
	fd = open_tcp(listen_at);
	if (fd < 0)
		return sg_error_set(error, fd, "api: listen: %s: %s%s", listen_at, strerror(-fd),
			fd == -EADDRINUSE ? ": choose another port" : "");
	warden->api_fds[warden->api_fd_count++] = fd;
	return 0;
}

void sg_api_sockets_tell(struct sg_warden *warden)
{
	if (warden->api_fd_count)
		sg_enforcer_tell(
			warden, SG_CHANNEL_API, NULL, 0, warden->api_fds, warden->api_fd_count);
}

void sg_api_sockets_close(struct sg_warden *warden)
{
	char path[PATH_MAX];

	if (warden->api_fd_count) {
		snprintf(path, sizeof(path), "%s/api.sock", warden->run_directory);
		unlink(path);
	}
	while (warden->api_fd_count)
		close(warden->api_fds[--warden->api_fd_count]);
}
