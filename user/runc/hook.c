// SPDX-License-Identifier: Apache-2.0
#include "runc/runc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

#include <jansson.h>

#include "container/place.h"

static int register_container(pid_t pid, const json_t *request, struct sg_error *error)
{
	struct sg_place place = { -1, -1 };
	int r = sg_place_of_process(pid, &place, error);

	if (r == 0)
		r = sg_place_register(&place, request, error);
	sg_place_close(&place);
	return r;
}

static int read_state(json_t **ret_state, json_t **ret_request, struct sg_error *error)
{
	json_error_t where;
	const char *bundle;
	char path[PATH_MAX];

	*ret_state = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &where);
	bundle = json_string_value(json_object_get(*ret_state, "bundle"));
	if (!bundle)
		return sg_error_set(error, -EBADMSG,
			"hook: the state of a container is expected on standard input");
	snprintf(path, sizeof(path), "%s/" SG_RUNC_REQUEST, bundle);
	*ret_request = json_load_file(path, 0, &where);
	return *ret_request
		       ? 0
		       : sg_error_set(error, -EBADMSG, "%s:%d: %s", path, where.line, where.text);
}

int sg_runc_hook(struct sg_error *error)
{
	json_t *state = NULL, *request = NULL;
	int r = read_state(&state, &request, error);
	pid_t pid = (pid_t)json_integer_value(json_object_get(state, "pid"));

	if (r == 0 && pid <= 0)
		r = sg_error_set(error, -EBADMSG, "hook: the state names no process");
	if (r == 0)
		r = register_container(pid, request, error);
	json_decref(state);
	json_decref(request);
	return r;
}
