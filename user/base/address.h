// SPDX-License-Identifier: Apache-2.0
// IP addresses as 16 bytes in network order, IPv4 mapped (::ffff:a.b.c.d). Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

// "127.0.0.1:9443" or "[::1]:9443". Returns 0 or -EINVAL.
int sg_address_parse(const char *text, uint8_t ret_address[16], uint16_t *ret_port) SG_WUNRES;

// The same text again. `size` >= 56.
void sg_address_format(const uint8_t address[16], uint16_t port, char *out, size_t size);
