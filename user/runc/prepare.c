// SPDX-License-Identifier: Apache-2.0
#include "runc/runc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fd.h"
#include "daemon/daemon.h"
#include "container/labels.h"
#include "container/rights.h"
#include "runc/oci.h"
#include "runc/trust.h"

#define HOOK_TIMEOUT_S 60
#define HOOK_NAME      "spendgate-runc"

// ---- The hook ----

static json_t *hook_arguments(const struct sg_runc_arguments *arguments)
{
	json_t *list = json_pack("[s]", HOOK_NAME);

	if (arguments->run_directory)
		json_array_append_new(
			list, json_sprintf("--spendgate-run-dir=%s", arguments->run_directory));
	if (arguments->fail_open)
		json_array_append_new(list, json_string("--spendgate-fail-open"));
	json_array_append_new(list, json_string("hook"));
	return list;
}

static int add_hook(
	json_t *config, const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	char self[PATH_MAX];
	int r = sg_fd_own_program(self, sizeof(self));

	if (r < 0)
		return sg_error_set(error, r, "/proc/self/exe: %s", strerror(-r));
	r = sg_oci_add_hook(config, self, hook_arguments(arguments), HOOK_TIMEOUT_S);
	return r < 0 ? sg_error_set(error, r, "out of memory") : 0;
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
	char own[PATH_MAX];
	int r;

	snprintf(own, sizeof(own), "%s/trust", sg_daemon_run_directory());
	sg_oci_remove_own(config, HOOK_NAME, own); // of an earlier start of the same bundle
	r = sg_runc_trust(config, bundle, sg_daemon_run_directory(), error);
	if (r == 0)
		r = add_hook(config, arguments, error);
	return r < 0 ? r : sg_oci_save(path, config, error);
}

static int prepare_agent(json_t *config, const struct sg_labels *labels, const char *bundle,
	const char *path, const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	char request_path[PATH_MAX];
	json_t *request = NULL;
	int r = sg_labels_request(labels, arguments->id, arguments->profile, &request, error);

	snprintf(request_path, sizeof(request_path), "%s/" SG_RUNC_REQUEST, bundle);
	if (r == 0 && sg_rights_of_bundle(config, request) < 0)
		r = sg_error_set(error, -ENOMEM, "out of memory");
	if (r == 0)
		r = find_daemon(error);
	if (r == 0)
		r = sg_oci_save(request_path, request, error);
	if (r == 0)
		r = edit(config, bundle, path, arguments, error);
	json_decref(request);
	return r;
}

int sg_runc_prepare(const struct sg_runc_arguments *arguments, struct sg_error *error)
{
	struct sg_labels labels = { .all = NULL };
	char bundle[PATH_MAX - 32], path[PATH_MAX];
	json_t *config = NULL;
	int r = 0;

	if (arguments->bundle)
		snprintf(bundle, sizeof(bundle), "%s", arguments->bundle);
	else if (!getcwd(bundle, sizeof(bundle)))
		return sg_error_set(error, -errno, "the bundle's folder: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/config.json", bundle);
	r = sg_oci_load(path, &config, error);
	if (r == 0)
		r = sg_labels_read(config, arguments->id, &labels, error);
	if (r == 0 && (arguments->profile || sg_labels_agent(&labels)))
		r = prepare_agent(config, &labels, bundle, path, arguments, error);
	sg_labels_release(&labels);
	json_decref(config);
	return r;
}
