// SPDX-License-Identifier: Apache-2.0
// `spendgate attach`, `spendgate detach`: what runs already becomes an agent, and is none any more.
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "container/attach.h"
#include "container/engine.h"
#include "container/labels.h"
#include "daemon/daemon.h"
#include "spendgate/exit.h"

struct options {
	const char *socket_path;
	const char *profile;
	const char *what;
	json_t *labels; // NULL: detach, which takes none
	bool guard;
};

enum { KEY_SOCKET = 256, KEY_PROFILE, KEY_LABEL, KEY_GUARD };

static const struct argp_option attach_options[] = {
	{ "label", KEY_LABEL, "NAME=VALUE", 0,
		"as docker run has it, as spendgate.budget.limit-usd=5; goes before the "
		"container's own; may be repeated",
		0 },
	{ "profile", KEY_PROFILE, "NAME", 0,
		"policy of the configuration, where no label names one", 0 },
	{ "guard", KEY_GUARD, NULL, 0,
		"CGROUP is the parent of containers' groups: whatever is no agent in it reaches "
		"private "
		"networks only, from its first packet",
		0 },
	{ "docker", KEY_SOCKET, "SOCKET", 0, "of the engine (default " SG_ENGINE_SOCKET ")", 0 },
	{ 0 },
};

static const struct argp_option detach_options[] = {
	{ "docker", KEY_SOCKET, "SOCKET", 0, "of the engine (default " SG_ENGINE_SOCKET ")", 0 },
	{ 0 },
};

static void add_label(struct argp_state *state, struct options *options, char *argument)
{
	char *equals = strchr(argument, '=');

	if (!equals || strncmp(argument, "spendgate.", 10) != 0) {
		argp_error(state, "--label \"%s\": must be spendgate.NAME=VALUE", argument);
		return;
	}
	*equals = 0;
	json_object_set_new(options->labels, argument, json_string(equals + 1));
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_SOCKET:
		options->socket_path = argument;
		return 0;
	case KEY_PROFILE:
		options->profile = argument;
		return 0;
	case KEY_LABEL:
		add_label(state, options, argument);
		return 0;
	case KEY_GUARD:
		options->guard = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->what)
			argp_error(state, "one container or cgroup is expected");
		options->what = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->what)
			argp_error(state, "a container or cgroup is expected");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp attach_argp = { attach_options, parse_option, "CONTAINER|CGROUP",
	"Makes a running container (its name or id), or what runs in a cgroup (a path), an agent: "
	"its "
	"sockets are redirected from now on, its connections from before are ended, and programs "
	"that "
	"start in it from now on find the certificates. Labels tell the budget.",
	NULL, NULL, NULL };

static const struct argp detach_argp = { detach_options, parse_option, "CONTAINER|CGROUP",
	"Ends what attach, or spendgate-runc, began: the container goes on without a limit. "
	"Certificates "
	"stay mounted until it stops.",
	NULL, NULL, NULL };

// ---- Which container ----

struct search {
	const char *what;
	const char *socket_path;
	char *id;
	struct sg_labels labels;
	struct sg_error *error;
};

static int match(void *context, const struct sg_engine_container *container)
{
	struct search *search = context;
	size_t length = strlen(search->what);

	if (strcmp(container->name, search->what) != 0 &&
		(length < 4 || strncmp(container->id, search->what, length) != 0))
		return 0;
	search->id = strdup(container->id);
	return sg_labels_of_engine(search->socket_path, container, &search->labels, search->error) <
			       0
		       ? -ENOMEM
		       : 1;
}

static void release_search(struct search *search)
{
	free(search->id);
	sg_labels_release(&search->labels);
}

// The last part of a path names the agent of a cgroup.
static void name_agent(struct search *search)
{
	const char *slash = search->id ? strrchr(search->id, '/') : NULL;

	snprintf(search->labels.name, sizeof(search->labels.name), "%s", slash ? slash + 1 : "");
}

// A path is a cgroup. What the engine does not know may be a container of another one, by its id.
static int find(const struct options *options, struct search *search, struct sg_error *error)
{
	int r;

	search->error = error;
	r = *options->what == '/' ? 0 : sg_engine_each(options->socket_path, match, search, error);
	if (!search->id)
		search->id = strdup(options->what);
	if (!search->labels.all) {
		search->labels.all = json_object();
		name_agent(search);
	}
	return r < 0 && access(options->socket_path, F_OK) == 0 ? r : 0;
}

static int exit_code(int r, const struct sg_error *error)
{
	if (r < 0)
		fprintf(stderr, "spendgate: %s\n", error->text);
	return r == 0			     ? SG_EXIT_OK
	       : r == -EINVAL		     ? SG_EXIT_USAGE
	       : r == -EPERM || r == -EACCES ? SG_EXIT_NOPERM
	       : r == -ENOTCONN		     ? SG_EXIT_UNAVAILABLE
					     : SG_EXIT_FAILED;
}

static int attach(const struct options *options, struct sg_error *error)
{
	struct search search = { .what = options->what, .socket_path = options->socket_path };
	struct sg_attach_result result;
	json_t *request = NULL;
	int r = find(options, &search, error);

	if (r == 0) {
		sg_labels_add(&search.labels, options->labels);
		r = sg_labels_request(&search.labels, search.id, options->profile, &request, error);
	}
	if (r == 0)
		r = sg_attach(search.id, request, &result, error);
	if (r == 0)
		printf("%s: agent %s; %u connections from before ended, %u files of certificates "
		       "mounted\n",
			options->what, json_string_value(json_object_get(request, "name")),
			result.ended, result.mounted);
	json_decref(request);
	release_search(&search);
	return r;
}

int sg_cli_attach(int argc, char **argv)
{
	struct options options = { .socket_path = SG_ENGINE_SOCKET, .labels = json_object() };
	struct sg_error error = { "" };
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&attach_argp, argc, argv, 0, NULL, &options);
	r = sg_start_need_root(argv[0], &error);
	if (r == 0)
		r = options.guard ? sg_attach_guard(options.what, &error)
				  : attach(&options, &error);
	json_decref(options.labels);
	return exit_code(r, &error);
}

static int ask_detach(const char *id, struct sg_error *error)
{
	json_t *request = json_pack("{s:s, s:s}", "op", "detach", "container", id), *answer = NULL;
	struct sg_daemon daemon = { -1 };
	int r = sg_start_open(&daemon, false, NULL, error);

	if (r < 0)
		r = r == -EPERM ? r : -ENOTCONN;
	else
		r = sg_daemon_ask(&daemon, request, NULL, 0, &answer, error);
	sg_daemon_close(&daemon);
	json_decref(request);
	json_decref(answer);
	return r;
}

int sg_cli_detach(int argc, char **argv)
{
	struct options options = { .socket_path = SG_ENGINE_SOCKET };
	struct sg_error error = { "" };
	struct search search;
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&detach_argp, argc, argv, 0, NULL, &options);
	search = (struct search){ .what = options.what, .socket_path = options.socket_path };
	r = sg_start_need_root(argv[0], &error);
	if (r == 0)
		r = find(&options, &search, &error);
	if (r == 0)
		r = ask_detach(search.id, &error);
	release_search(&search);
	return exit_code(r, &error);
}
