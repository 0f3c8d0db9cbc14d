// SPDX-License-Identifier: Apache-2.0
#include "runc/arguments.h"

#include <errno.h>
#include <string.h>

#define PREFIX "--spendgate-"

// Options of runc and crun that take a value as the next word. Those of `create`, `run` and
// `restore` come after the command.
static const char *const with_value[] = { "log", "log-format", "log-level", "root", "criu",
	"rootless", "bundle", "b", "console-socket", "pid-file", "preserve-fds", "image-path",
	"work-path", "parent-path", "config", "f", "manage-cgroups-mode", "empty-ns", "lsm-profile",
	"lsm-mount-context", "cgroup-manager", "pidfd-socket", "network-lock", "page-server" };

// Of runc, crun, youki and runsc. A word that is none of them may be the value of an option that is
// not known here, and the command after it.
static const char *const commands[] = { "create", "start", "run", "restore", "state", "kill",
	"delete", "list", "ps", "exec", "events", "pause", "resume", "spec", "update", "checkpoint",
	"init", "features", "mounts", "info", "wait", "version", "help", "h", "hook" };

static int parse_own(
	const char *option, struct sg_runc_arguments *arguments, struct sg_error *error)
{
	const char *name = option + strlen(PREFIX), *value = strchr(name, '=');
	size_t length = value ? (size_t)(value - name) : strlen(name);

	value = value ? value + 1 : "";
	if (length == 9 && memcmp(name, "fail-open", 9) == 0)
		arguments->fail_open = true;
	else if (length == 7 && memcmp(name, "runtime", 7) == 0 && *value)
		arguments->runtime = value;
	else if (length == 7 && memcmp(name, "run-dir", 7) == 0 && *value == '/')
		arguments->run_directory = value;
	else if (length == 7 && memcmp(name, "profile", 7) == 0 && *value)
		arguments->profile = value;
	else
		return sg_error_set(error, -EINVAL,
			"%s: must be --spendgate-runtime=PATH, --spendgate-run-dir=/PATH, "
			"--spendgate-profile=NAME or --spendgate-fail-open",
			option);
	return 0;
}

// The value of `--name=value` or `--name value`; *index moves onto the last word of the option.
static const char *value_of(
	const struct sg_runc_arguments *arguments, size_t name_length, const char *name, int *index)
{
	if (name[name_length] == '=')
		return name + name_length + 1;
	for (size_t i = 0; i < SG_ARRAY_SIZE(with_value); i++)
		if (strlen(with_value[i]) == name_length &&
			memcmp(with_value[i], name, name_length) == 0)
			return *index + 1 < arguments->rest_count ? arguments->rest[++*index]
								  : NULL;
	return NULL;
}

static void take_option(struct sg_runc_arguments *arguments, int *index)
{
	const char *name = arguments->rest[*index] + 1, *value;
	size_t length;

	name += *name == '-';
	length = strcspn(name, "=");
	value = value_of(arguments, length, name, index);
	if (length == 3 && memcmp(name, "log", 3) == 0)
		arguments->log = value;
	else if (length == 10 && memcmp(name, "log-format", 10) == 0)
		arguments->log_is_json = value && strcmp(value, "json") == 0;
	else if ((length == 6 && memcmp(name, "bundle", 6) == 0) || (length == 1 && *name == 'b'))
		arguments->bundle = value;
}

static int check_command(const char *command, struct sg_error *error)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i], command) == 0)
			return 0;
	return sg_error_set(error, -EINVAL,
		"\"%.80s\" is no command of a runtime that spendgate-runc knows: if it is the "
		"value "
		"of an option, write both as one word, --OPTION=VALUE",
		command);
}

int sg_runc_arguments_parse(
	int argc, char **argv, struct sg_runc_arguments *ret_arguments, struct sg_error *error)
{
	struct sg_runc_arguments arguments = { .runtime = "runc" };
	int r = 0, i = 1;

	for (; r == 0 && i < argc && strncmp(argv[i], PREFIX, strlen(PREFIX)) == 0; i++)
		r = parse_own(argv[i], &arguments, error);
	if (r < 0)
		return r;
	arguments.rest = argv + i;
	arguments.rest_count = argc - i;
	for (i = 0; i < arguments.rest_count; i++) {
		if (arguments.rest[i][0] == '-' && arguments.rest[i][1])
			take_option(&arguments, &i);
		else if (!arguments.command)
			arguments.command = arguments.rest[i];
		else if (!arguments.id)
			arguments.id = arguments.rest[i];
	}
	*ret_arguments = arguments;
	return arguments.command ? check_command(arguments.command, error) : 0;
}

bool sg_runc_arguments_create(const struct sg_runc_arguments *arguments)
{
	return arguments->command && arguments->id &&
	       (strcmp(arguments->command, "create") == 0 ||
		       strcmp(arguments->command, "run") == 0 ||
		       strcmp(arguments->command, "restore") == 0);
}
