// SPDX-License-Identifier: Apache-2.0
#include "container/attach.h"

#include <errno.h>
#include <string.h>

#include "container/mounts.h"
#include "container/place.h"
#include "container/rights.h"
#include "daemon/daemon.h"
#include "redirect/sockets.h"

static int end_connections(
	const struct sg_place *place, struct sg_sockets_result *ret_result, struct sg_error *error)
{
	struct sg_error why = { "" };
	int r = sg_sockets_end(
		place->cgroup_fd, place->netns_fd, SG_SOCKETS_UNWATCHED, ret_result, &why);

	return r < 0 ? sg_error_set(error, r,
			       "%s: those from before stay, unmetered, until they end: restart "
			       "what runs",
			       why.text)
		     : 0;
}

static int register_with_rights(
	const struct sg_place *place, pid_t pid, const json_t *request, struct sg_error *error)
{
	json_t *whole = json_copy((json_t *)request);
	int r = whole && sg_rights_of_process(pid, whole) == 0
			? sg_place_register(place, whole, error)
			: sg_error_set(error, -ENOMEM, "out of memory");

	json_decref(whole);
	return r;
}

// The fence first: nothing new may connect between the other two.
int sg_attach(const char *what, const json_t *request, struct sg_attach_result *ret_result,
	struct sg_error *error)
{
	struct sg_place place = { -1, -1 };
	struct sg_sockets_result sockets = { 0, 0 };
	struct sg_attach_result result = { 0, 0 };
	struct sg_error later = { "" };
	pid_t pid = 0;
	int r = sg_place_find(what, &place, &pid, error), ended;

	if (r < 0)
		return r;
	r = register_with_rights(&place, pid, request, error);
	if (r == 0) {
		ended = end_connections(&place, &sockets, error);
		result.ended = sockets.ended;
		r = sg_mounts_trust(pid, sg_daemon_run_directory(), &result.mounted, &later);
		if (r < 0 && ended == 0)
			*error = later;
		r = ended < 0 ? ended : r;
	}
	sg_place_close(&place);
	*ret_result = result;
	return r;
}

// The network namespace is for the form: nothing is redirected there.
int sg_attach_guard(const char *path, struct sg_error *error)
{
	struct sg_place place = { -1, -1 };
	json_t *request = json_pack("{s:s, s:s+, s:s, s:b}", "op", "register", "name", "guard-",
		strrchr(path, '/') ? strrchr(path, '/') + 1 : path, "container", path, "guard", 1);
	int r = request ? sg_place_make(path, &place, error)
			: sg_error_set(error, -ENOMEM, "out of memory");

	if (r == 0)
		r = sg_place_register(&place, request, error);
	sg_place_close(&place);
	json_decref(request);
	return r;
}
