// SPDX-License-Identifier: Apache-2.0
// `spendgate docker install`, `spendgate docker uninstall`, `spendgate docker watch`
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/start.h"
#include "cli/watch.h"
#include "container/engine.h"
#include "spendgate/control.h"
#include "spendgate/exit.h"

#define NAME	     "spendgate"
#define CONFIG_LIMIT (4u << 20)

struct options {
	const char *action;
	const char *daemon_json;
	const char *runtime;
	const char *run_directory;
	const char *profile;
	const char *socket_path;
	bool make_default;
	bool fail_open;
};

enum {
	KEY_FILE = 256,
	KEY_RUNTIME,
	KEY_DEFAULT,
	KEY_PROFILE,
	KEY_FAIL_OPEN,
	KEY_RUN_DIR,
	KEY_SOCKET
};

static const struct argp_option option_table[] = {
	{ "default", KEY_DEFAULT, NULL, 0,
		"containers use it without --runtime; those without labels run as ever", 0 },
	{ "runtime", KEY_RUNTIME, "PATH", 0, "the real runtime (default: runc)", 0 },
	{ "profile", KEY_PROFILE, "NAME", 0,
		"containers without labels run under this profile of the configuration", 0 },
	{ "fail-open", KEY_FAIL_OPEN, NULL, 0,
		"without spendgated containers start, without their limit (default: they don't)",
		0 },
	{ "daemon-json", KEY_FILE, "FILE", 0,
		"the engine's configuration (default: /etc/docker/daemon.json)", 0 },
	{ "docker", KEY_SOCKET, "SOCKET", 0, "watch: of the engine (default " SG_ENGINE_SOCKET ")",
		0 },
	{ "run-dir", KEY_RUN_DIR, "PATH", 0, "run directory of a spendgated of its own", 0 },
	{ 0 },
};

static bool is_action(const char *word)
{
	return strcmp(word, "install") == 0 || strcmp(word, "uninstall") == 0 ||
	       strcmp(word, "watch") == 0;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_FILE:
		options->daemon_json = argument;
		return 0;
	case KEY_RUNTIME:
		options->runtime = argument;
		return 0;
	case KEY_DEFAULT:
		options->make_default = true;
		return 0;
	case KEY_PROFILE:
		options->profile = argument;
		return 0;
	case KEY_FAIL_OPEN:
		options->fail_open = true;
		return 0;
	case KEY_RUN_DIR:
		options->run_directory = argument;
		return 0;
	case KEY_SOCKET:
		options->socket_path = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (options->action || !is_action(argument))
			argp_error(state, "install, uninstall or watch is expected");
		options->action = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->action)
			argp_error(state, "install, uninstall or watch is expected");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, "install|uninstall|watch",
	"install and uninstall: registers spendgate-runc in the configuration of a Docker engine, "
	"or "
	"takes it out. Other settings stay. The engine takes it up with `systemctl reload docker`. "
	"watch: without spendgate-runc, attaches labelled containers as they start; what a "
	"container "
	"does before, it does without a limit.",
	NULL, NULL, NULL };

// ---- The file ----

static int file_error(const char *path, int r, struct sg_error *error)
{
	return sg_error_set(error, r, "%s: %s%s", path, strerror(-r),
		r == -EACCES || r == -EPERM ? ": use sudo" : "");
}

static int load(const char *path, json_t **ret_config, struct sg_error *error)
{
	char *text = NULL;
	size_t length;
	int r = sg_fd_read_file(path, CONFIG_LIMIT, &text, &length);

	if (r < 0 && r != -ENOENT)
		return file_error(path, r, error);
	// The engine takes an empty file for an empty configuration.
	if (r == -ENOENT || strspn(text, " \t\r\n") == length)
		*ret_config = json_object();
	else
		*ret_config = sg_json_parse(text, length, path, error);
	free(text);
	if (!*ret_config)
		return -EBADMSG;
	return json_is_object(*ret_config)
		       ? 0
		       : sg_error_set(error, -EBADMSG, "%s: must be a JSON object", path);
}

static int save(const char *path, const json_t *config, struct sg_error *error)
{
	char *text = json_dumps(config, JSON_INDENT(4)), *line = NULL;
	char directory[PATH_MAX];
	struct stat status;
	char *slash;
	int r = text && asprintf(&line, "%s\n", text) >= 0 ? 0 : -ENOMEM;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash && slash != directory) {
		*slash = 0;
		if (r == 0)
			r = sg_fd_make_directories(directory, 0755);
	}
	if (r == 0)
		r = sg_fd_write_file(path, line, strlen(line),
			stat(path, &status) == 0 ? status.st_mode & 07777 : 0644);
	free(text);
	free(line);
	return r < 0 ? file_error(path, r, error) : 0;
}

// ---- What is in it ----

static int find_shim(char *out, size_t size, struct sg_error *error)
{
	int r = sg_fd_program_beside("spendgate-runc", out, size);

	if (r < 0)
		return sg_error_set(error, r, "/proc/self/exe: %s", strerror(-r));
	return access(out, X_OK) < 0
		       ? sg_error_set(error, -errno, "%s: %s (it is installed beside spendgate)",
				 out, strerror(errno))
		       : 0;
}

static json_t *make_runtime(const struct options *options, const char *program)
{
	json_t *arguments = json_array();

	if (options->runtime)
		json_array_append_new(
			arguments, json_sprintf("--spendgate-runtime=%s", options->runtime));
	if (options->profile)
		json_array_append_new(
			arguments, json_sprintf("--spendgate-profile=%s", options->profile));
	if (options->run_directory)
		json_array_append_new(
			arguments, json_sprintf("--spendgate-run-dir=%s", options->run_directory));
	if (options->fail_open)
		json_array_append_new(arguments, json_string("--spendgate-fail-open"));
	return json_array_size(arguments)
		       ? json_pack("{s:s, s:o}", "path", program, "runtimeArgs", arguments)
		       : json_pack("{s:s, s:o*}", "path", program, "runtimeArgs",
				 (json_decref(arguments), NULL));
}

static const char *default_runtime(const json_t *config)
{
	return json_string_value(json_object_get(config, "default-runtime"));
}

static int install(json_t *config, const struct options *options, struct sg_error *error)
{
	const char *other = default_runtime(config);
	json_t *runtimes = json_object_get(config, "runtimes");
	char program[PATH_MAX];
	int r = find_shim(program, sizeof(program), error);

	if (r < 0)
		return r;
	if (options->make_default && other && strcmp(other, NAME) != 0 &&
		strcmp(other, "runc") != 0 && !options->runtime)
		return sg_error_set(error, -EEXIST,
			"%s: the default runtime is %s: name its program with --runtime, so that "
			"it is used behind spendgate-runc",
			options->daemon_json, other);
	if (!runtimes) {
		runtimes = json_object();
		json_object_set_new(config, "runtimes", runtimes);
	}
	if (!json_is_object(runtimes))
		return sg_error_set(
			error, -EBADMSG, "%s: runtimes: must be an object", options->daemon_json);
	json_object_set_new(runtimes, NAME, make_runtime(options, program));
	if (options->make_default)
		json_object_set_new(config, "default-runtime", json_string(NAME));
	return 0;
}

static void uninstall(json_t *config)
{
	json_t *runtimes = json_object_get(config, "runtimes");
	const char *other = default_runtime(config);

	json_object_del(runtimes, NAME);
	if (json_object_size(runtimes) == 0)
		json_object_del(config, "runtimes");
	if (other && strcmp(other, NAME) == 0)
		json_object_del(config, "default-runtime");
}

static int change(const struct options *options, bool *ret_changed, struct sg_error *error)
{
	json_t *config = NULL, *before = NULL;
	int r = load(options->daemon_json, &config, error);

	if (r == 0) {
		before = json_deep_copy(config);
		if (strcmp(options->action, "install") == 0)
			r = install(config, options, error);
		else
			uninstall(config);
	}
	*ret_changed = r == 0 && !json_equal(before, config);
	if (*ret_changed)
		r = save(options->daemon_json, config, error);
	json_decref(before);
	json_decref(config);
	return r;
}

// Returns only when it can't begin.
static int watch(const struct options *options, struct sg_error *error)
{
	int r = sg_start_need_root("spendgate docker watch", error);

	if (r < 0)
		return r;
	if (options->run_directory && setenv(SG_ENV_RUN_DIRECTORY, options->run_directory, 1) < 0)
		return sg_error_set(error, -errno, "setenv: %s", strerror(errno));
	sg_watch(options->socket_path, options->profile);
}

int sg_cli_docker(int argc, char **argv)
{
	struct options options = { .daemon_json = "/etc/docker/daemon.json",
		.socket_path = SG_ENGINE_SOCKET };
	struct sg_error error = { "" };
	bool changed = false;
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (strcmp(options.action, "watch") == 0)
		r = watch(&options, &error);
	else
		r = change(&options, &changed, &error);
	if (r < 0) {
		fprintf(stderr, "spendgate: %s\n", error.text);
		return r == -EBADMSG		     ? SG_EXIT_CONFIG
		       : r == -EACCES || r == -EPERM ? SG_EXIT_NOPERM
						     : SG_EXIT_FAILED;
	}
	printf("%s: %s\n", options.daemon_json,
		changed ? "changed; the engine takes it up with: systemctl reload docker"
			: "nothing to change");
	return SG_EXIT_OK;
}
