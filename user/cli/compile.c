// SPDX-License-Identifier: Apache-2.0
// `spendgate compile`: a pod file's budgets, as <directory>/<agent>/metadata.json for the daemon
// ("compiled").
#include <argp.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "compile/pod.h"
#include "compile/yaml.h"
#include "spendgate/exit.h"

#define METADATA_LIMIT (1u << 20)
#define MANIFEST       ".spendgate-compile.json" // the agents that were written last

struct options {
	const char *path, *directory;
	bool watch;
};

static const struct argp_option option_table[] = {
	{ "output", 'o', "DIR", 0, "writes DIR/AGENT/metadata.json", 0 },
	{ "watch", 'w', NULL, 0, "stays, and writes anew whenever the file changes", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'o':
		options->directory = argument;
		return 0;
	case 'w':
		options->watch = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->path)
			argp_error(state, "one pod file at a time");
		options->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->path || !options->directory)
			argp_error(state, "a pod file and -o DIR are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, "POD.yml",
	"Writes the budgets of a pod file (x-claw.budget, x-claw.budget-defaults) where spendgated "
	"reads them as the "
	"directory \"compiled\" of its configuration (docs/compile.md).",
	NULL, NULL, NULL };

// ---- Writing ----

static json_t *load(const char *path)
{
	char *text = NULL;
	size_t length;
	json_t *object = NULL;

	if (sg_fd_read_file(path, METADATA_LIMIT, &text, &length) == 0)
		object = json_loadb(text, length, 0, NULL);
	free(text);
	if (!json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

// What others have in the file stays; the budget is ours.
static int write_metadata(
	const char *directory, const char *agent, const json_t *metadata, struct sg_error *error)
{
	char path[PATH_MAX];
	json_t *whole;
	char *text;
	int r;

	snprintf(path, sizeof(path), "%s/%s", directory, agent);
	r = sg_fd_make_directories(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/metadata.json", directory, agent);
	whole = load(path);
	if (!whole)
		whole = json_object();
	json_object_del(whole, "budget");
	json_object_update(whole, (json_t *)metadata);
	text = sg_pod_render(whole);
	if (r == 0)
		r = text ? sg_fd_write_file(path, text, strlen(text), 0644) : -ENOMEM;
	free(text);
	json_decref(whole);
	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

// Agents that were in the file before, and are no more.
static void remove_stale(const char *directory, const json_t *agents)
{
	char path[PATH_MAX];
	json_t *before, *name;
	size_t index;

	snprintf(path, sizeof(path), "%s/" MANIFEST, directory);
	before = load(path);
	json_array_foreach(json_object_get(before, "agents"), index, name)
	{
		const char *agent = json_string_value(name);

		if (!agent || strchr(agent, '/') || *agent == '.' || json_object_get(agents, agent))
			continue;
		snprintf(path, sizeof(path), "%s/%s/metadata.json", directory, agent);
		unlink(path);
		*strrchr(path, '/') = 0;
		rmdir(path); // unless others have something in it
	}
	json_decref(before);
}

static int write_manifest(const char *directory, const json_t *agents, struct sg_error *error)
{
	json_t *names = json_array(), *manifest = json_pack("{s:o}", "agents", names);
	char path[PATH_MAX], *text;
	const char *agent;
	json_t *metadata;
	int r;

	json_object_foreach((json_t *)agents, agent, metadata)
	{
		json_array_append_new(names, json_string(agent));
	}
	text = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
	snprintf(path, sizeof(path), "%s/" MANIFEST, directory);
	r = text ? sg_fd_write_file(path, text, strlen(text), 0644) : -ENOMEM;
	free(text);
	json_decref(manifest);
	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

// Nothing is written unless the whole file is good.
static int compile(const struct options *options, struct sg_error *error)
{
	char *text = NULL;
	size_t length;
	json_t *agents = NULL, *metadata;
	const char *agent;
	int r = sg_fd_read_file(options->path, SG_YAML_MAX_BYTES + 1, &text, &length);

	if (r < 0)
		return sg_error_set(error, r, "%s: %s", options->path, strerror(-r));
	r = sg_pod_compile(text, length, &agents, error);
	free(text);
	if (r < 0)
		return sg_error_prefix(error, r, "%s: ", options->path);
	r = sg_fd_make_directories(options->directory, 0755);
	if (r < 0)
		sg_error_set(error, r, "%s: %s", options->directory, strerror(-r));
	json_object_foreach(agents, agent, metadata)
	{
		if (r == 0)
			r = write_metadata(options->directory, agent, metadata, error);
	}
	if (r == 0) {
		remove_stale(options->directory, agents);
		r = write_manifest(options->directory, agents, error);
	}
	if (r == 0)
		printf("%s: %zu agents in %s\n", options->path, json_object_size(agents),
			options->directory);
	fflush(stdout);
	json_decref(agents);
	return r;
}

// ---- Watching ----

// Waits until the file was written or put in place. Returns 0 or -errno.
static int wait_for_change(int fd, const char *name)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;

	while (!changed) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event =
				(const struct inotify_event *)(buffer + at);

			if (event->mask & IN_IGNORED)
				return -ENOENT;
			changed = changed || (event->len && strcmp(event->name, name) == 0);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
	return 0;
}

static int watch(const struct options *options, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int fd = inotify_init1(IN_CLOEXEC);
	char folder[PATH_MAX], name[PATH_MAX];
	int r = 0;

	snprintf(folder, sizeof(folder), "%s", options->path);
	snprintf(name, sizeof(name), "%s", options->path);
	if (fd < 0 || inotify_add_watch(fd, dirname(folder),
			      IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
		return sg_error_set(error, -errno, "%s: %s", options->path, strerror(errno));
	// What was changed before the watch was there is seen too.
	while (r == 0) {
		if (compile(options, error) < 0)
			fprintf(stderr, "spendgate: %s (what was written before stays)\n",
				error->text);
		r = wait_for_change(fd, basename(name));
	}
	return sg_error_set(
		error, r, "%s: can't be watched any more: %s", options->path, strerror(-r));
}

int sg_cli_compile(int argc, char **argv)
{
	struct options options = { NULL, NULL, false };
	struct sg_error error = { "" };
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	r = options.watch ? watch(&options, &error) : compile(&options, &error);
	if (r < 0)
		fprintf(stderr, "spendgate: %s\n", error.text);
	switch (r) {
	case 0:
		return SG_EXIT_OK;
	case -EINVAL:
	case -EFBIG:
		return SG_EXIT_DATA;
	case -ENOENT:
		return SG_EXIT_FAILED;
	default:
		return SG_EXIT_CANTCREAT;
	}
}
