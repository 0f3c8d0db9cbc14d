// SPDX-License-Identifier: Apache-2.0
// What the control API answers, without the HTTP. Any thread.
#pragma once

#include <stddef.h>

#include "api/server.h"

#define SG_API_MAX_BODY (64u << 10)

struct sg_api_request {
	const char *method, *path;
	const char *authorization;	    // the header, or NULL
	const char *lines, *agent, *budget; // of the query, or NULL
	const char *body;
	size_t length;
};

struct sg_api_answer {
	unsigned status;
	char *text; // freed by the caller
	const char *type;
};

// Always gives an answer; text is NULL where memory is short.
void sg_api_perform(const struct sg_api_options *options, const struct sg_principals *principals,
	const struct sg_api_request *request, struct sg_api_answer *ret_answer);
