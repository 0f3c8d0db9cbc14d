// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtol(text, &end, 10);
	if (*end || port < 1 || port > 65535)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

int sg_address_parse(const char *text, uint8_t ret_address[16], uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN];
	size_t length;

	if (!colon || parse_port(colon + 1, ret_port) < 0)
		return -EINVAL;
	length = (size_t)(colon - text);
	if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
		if (length - 2 >= sizeof(host))
			return -EINVAL;
		memcpy(host, text + 1, length - 2);
		host[length - 2] = 0;
		return inet_pton(AF_INET6, host, ret_address) == 1 ? 0 : -EINVAL;
	}
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = 0;
	memset(ret_address, 0, 10);
	memset(ret_address + 10, 0xff, 2);
	return inet_pton(AF_INET, host, ret_address + 12) == 1 ? 0 : -EINVAL;
}

void sg_address_format(const uint8_t address[16], uint16_t port, char *out, size_t size)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char host[INET6_ADDRSTRLEN];

	if (memcmp(address, mapped, sizeof(mapped)) == 0) {
		inet_ntop(AF_INET, address + 12, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, port);
	} else {
		inet_ntop(AF_INET6, address, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, port);
	}
}
