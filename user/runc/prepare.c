// SPDX-License-Identifier: Apache-2.0
#include "runc/runc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fd.h"
#include "daemon/daemon.h"
#include "runc/labels.h"
#include "runc/trust.h"

#define CONFIG_LIMIT   (64u << 20)
#define HOOK_TIMEOUT_S 60

static int load(const char *path, json_t **ret_object, struct sg_error *error)
{
	json_error_t where;
	char *text;
	size_t length;
	int r = sg_fd_read_file(path, CONFIG_LIMIT, &text, &length);

	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	*ret_object = json_loadb(text, length, 0, &where);
	free(text);
	return *ret_object
		       ? 0
		       : sg_error_set(error, -EBADMSG, "%s:%d: %s", path, where.line, where.text);
}

static int save(const char *path, const json_t *object, struct sg_error *error)
{
	char *text = json_dumps(object, JSON_COMPACT);
	int r = text ? sg_fd_write_file(path, text, strlen(text), 0600) : -ENOMEM;

	free(text);
	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

// ---- The hook ----

static json_t *hook_arguments(const struct sg_runc_arguments *arguments)
{
	json_t *list = json_pack("[s]", "spendgate-runc");

	if (arguments->run_directory)
		json_array_append_new(
			list, json_sprintf("--spendgate-run-dir=%s", arguments->run_directory));
	if (arguments->fail_open)
		json_array_append_new(list, json_string("--spendgate-fail-open"));
	json_array_append_new(list, json_string("hook"));
	return list;
}

// Last of the createRuntime hooks: after those that set the network up, before those that run
// inside the container.
static int add_hook(
	json_t *config, const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	json_t *hooks = json_object_get(config, "hooks"), *list;
	char self[PATH_MAX];
	int r = sg_fd_own_program(self, sizeof(self));

	if (r < 0)
		return sg_error_set(error, r, "/proc/self/exe: %s", strerror(-r));
	if (!hooks) {
		hooks = json_object();
		json_object_set_new(config, "hooks", hooks);
	}
	list = json_object_get(hooks, "createRuntime");
	if (!list) {
		list = json_array();
		json_object_set_new(hooks, "createRuntime", list);
	}
	if (json_array_append_new(
		    list, json_pack("{s:s, s:o, s:i}", "path", self, "args",
				  hook_arguments(arguments), "timeout", HOOK_TIMEOUT_S)) < 0)
		return sg_error_set(error, -ENOMEM, "out of memory");
	return 0;
}

// ---- The bundle ----

static int find_daemon(struct sg_error *error)
{
	struct sg_daemon daemon = { -1 };
	int r = sg_daemon_connect(&daemon, error);

	sg_daemon_close(&daemon);
	return r < 0 ? sg_error_set(error, -ENOTCONN,
			       "no spendgated answers at %s/control.sock: the container is not "
			       "started without its limit; systemctl start spendgated",
			       sg_daemon_run_directory())
		     : 0;
}

static int edit(json_t *config, const char *bundle, const char *path,
	const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	int r = sg_runc_trust(config, bundle, sg_daemon_run_directory(), error);

	if (r == 0)
		r = add_hook(config, arguments, error);
	return r < 0 ? r : save(path, config, error);
}

static int prepare_agent(json_t *config, const struct sg_labels *labels, const char *bundle,
	const char *path, const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	char request_path[PATH_MAX];
	json_t *request = NULL;
	int r = sg_labels_request(labels, arguments->id, arguments->profile, &request, error);

	snprintf(request_path, sizeof(request_path), "%s/" SG_RUNC_REQUEST, bundle);
	if (r == 0)
		r = find_daemon(error);
	if (r == 0)
		r = save(request_path, request, error);
	if (r == 0)
		r = edit(config, bundle, path, arguments, error);
	json_decref(request);
	return r;
}

int sg_runc_prepare(const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	struct sg_labels labels = { NULL, "" };
	char bundle[PATH_MAX - 32], path[PATH_MAX];
	json_t *config = NULL;
	int r = 0;

	if (arguments->bundle)
		snprintf(bundle, sizeof(bundle), "%s", arguments->bundle);
	else if (!getcwd(bundle, sizeof(bundle)))
		return sg_error_set(error, -errno, "the bundle's folder: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/config.json", bundle);
	r = load(path, &config, error);
	if (r == 0)
		r = sg_labels_read(config, arguments->id, &labels, error);
	if (r == 0 && (arguments->profile || sg_labels_agent(&labels)))
		r = prepare_agent(config, &labels, bundle, path, arguments, error);
	sg_labels_release(&labels);
	json_decref(config);
	return r;
}
