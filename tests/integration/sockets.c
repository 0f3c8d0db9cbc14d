// SPDX-License-Identifier: Apache-2.0
#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int family_of(const char *text)
{
	return strchr(text, ':') ? AF_INET6 : AF_INET;
}

struct sockaddr_in6 make_address(const char *text, uint16_t port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in *address4 = (struct sockaddr_in *)&address;

	if (family_of(text) == AF_INET6) {
		CHECK(inet_pton(AF_INET6, text, &address.sin6_addr) == 1);
	} else {
		*address4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		CHECK(inet_pton(AF_INET, text, &address4->sin_addr) == 1);
	}
	return address;
}

socklen_t address_length(const struct sockaddr_in6 *address)
{
	return address->sin6_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						: sizeof(struct sockaddr_in);
}

void mapped_bytes(const char *text, uint8_t ret_address[16])
{
	memset(ret_address, 0, 16);
	if (family_of(text) == AF_INET6) {
		CHECK(inet_pton(AF_INET6, text, ret_address) == 1);
		return;
	}
	memset(ret_address + 10, 0xff, 2);
	CHECK(inet_pton(AF_INET, text, ret_address + 12) == 1);
}

int dial(const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), r;

	if (connect(fd, (struct sockaddr *)&address, address_length(&address)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int redial(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 address = make_address(text, port);
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	CHECK_SYS(connect(fd, &none, sizeof(none)));
	return connect(fd, (struct sockaddr *)&address, address_length(&address)) < 0 ? -errno : 0;
}

int listen_on(const char *text, uint16_t *port)
{
	struct sockaddr_in6 address = make_address(text, *port);
	int fd = CHECK_SYS(socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;
	socklen_t length = sizeof(address);

	CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK_SYS(bind(fd, (struct sockaddr *)&address, address_length(&address)));
	CHECK_SYS(listen(fd, 128));
	CHECK_SYS(getsockname(fd, (struct sockaddr *)&address, &length));
	*port = ntohs(address.sin6_port);
	return fd;
}

void read_word(int fd)
{
	char word[16] = "";
	size_t have = 0;
	ssize_t n;

	while (have < strlen(SERVER_WORD) &&
		(n = read(fd, word + have, strlen(SERVER_WORD) - have)) > 0)
		have += (size_t)n;
	CHECK(strcmp(word, SERVER_WORD) == 0);
}

void check_peer(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 want = make_address(text, port), got = { 0 };
	socklen_t length = sizeof(got);

	CHECK_SYS(getpeername(fd, (struct sockaddr *)&got, &length));
	CHECK(length == address_length(&want));
	CHECK(got.sin6_family == want.sin6_family && got.sin6_port == want.sin6_port);
	if (want.sin6_family == AF_INET6)
		CHECK(memcmp(&got.sin6_addr, &want.sin6_addr, sizeof(got.sin6_addr)) == 0);
	else
		CHECK(((struct sockaddr_in *)&got)->sin_addr.s_addr ==
			((struct sockaddr_in *)&want)->sin_addr.s_addr);
}

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header; // for its alignment
};

void send_descriptor(int channel, int fd)
{
	union control control = { .header = { .cmsg_len = CMSG_LEN(sizeof(fd)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	CHECK(sendmsg(channel, &message, 0) == 1);
}

int receive_descriptor(int channel)
{
	union control control = { 0 };
	char byte;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	int fd;

	CHECK(recvmsg(channel, &message, MSG_CMSG_CLOEXEC) == 1);
	CHECK(control.header.cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}
