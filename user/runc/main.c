// SPDX-License-Identifier: Apache-2.0
// spendgate-runc: an OCI runtime in front of the real one (docs/docker.md).
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "runc/runc.h"
#include "spendgate/control.h"
#include "spendgate/exit.h"

static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin",
	"/sbin", "/bin" };

// One line, and one field of it: names of images and labels are in it.
static void print_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
	}
}

// Engines show the last error of the runtime's log, and standard error where there is none.
static void report(const struct sg_runc_arguments *arguments, const char *level, const char *text)
{
	FILE *log = arguments->log ? fopen(arguments->log, "ae") : NULL;
	json_t *line;
	char when[64];
	time_t now = time(NULL);
	struct tm utc;

	fprintf(stderr, "spendgate: %s\n", text);
	if (!log)
		return;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	line = json_pack(
		"{s:s, s:s+, s:s}", "level", level, "msg", "spendgate: ", text, "time", when);
	if (line && arguments->log_is_json)
		json_dumpf(line, log, JSON_COMPACT);
	else {
		fprintf(log, "time=\"%s\" level=%s msg=\"spendgate: ", when, level);
		print_text(log, text);
		fputc('"', log);
	}
	fputc('\n', log);
	json_decref(line);
	fclose(log);
}

static int hand_over(const struct sg_runc_arguments *arguments)
{
	char **words = calloc((size_t)arguments->rest_count + 2, sizeof(*words));
	char path[PATH_MAX], text[PATH_MAX + 128];

	if (!words)
		return SG_EXIT_INTERNAL;
	memcpy(words + 1, arguments->rest, (size_t)arguments->rest_count * sizeof(*words));
	words[0] = (char *)arguments->runtime;
	if (strchr(arguments->runtime, '/'))
		execv(arguments->runtime, words);
	for (size_t i = 0; !strchr(arguments->runtime, '/') && i < SG_ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], arguments->runtime);
		execv(path, words);
		if (errno != ENOENT)
			break;
	}
	snprintf(text, sizeof(text), "the real runtime %s can't be executed: %s",
		arguments->runtime, strerror(errno));
	report(arguments, "error", text);
	free(words);
	return SG_EXIT_NOT_FOUND;
}

// Without spendgated and with --spendgate-fail-open it goes on, and says so.
static bool may_go_on(
	const struct sg_runc_arguments *arguments, int result, const struct sg_error *error)
{
	char text[sizeof(error->text) + 64];

	if (result == 0)
		return true;
	if (result != -ENOTCONN || !arguments->fail_open) {
		report(arguments, "error", error->text);
		return false;
	}
	snprintf(text, sizeof(text), "started WITHOUT its limit (--spendgate-fail-open): %s",
		error->text);
	report(arguments, "warning", text);
	// Engines show what a runtime says only when it fails.
	openlog("spendgate-runc", LOG_PID, LOG_DAEMON);
	syslog(LOG_WARNING, "container %s %s", arguments->id ? arguments->id : "", text);
	return true;
}

int main(int argc, char **argv)
{
	struct sg_runc_arguments arguments = { .runtime = NULL };
	struct sg_error error = { "" };
	bool hook;
	int r = sg_runc_arguments_parse(argc, argv, &arguments, &error);

	if (r < 0) {
		fprintf(stderr, "spendgate: %s\n", error.text);
		return SG_EXIT_USAGE;
	}
	if (arguments.run_directory && setenv(SG_ENV_RUN_DIRECTORY, arguments.run_directory, 1) < 0)
		return SG_EXIT_INTERNAL;
	hook = arguments.command && strcmp(arguments.command, "hook") == 0;
	if (hook)
		r = sg_runc_hook(&error);
	else if (sg_runc_arguments_create(&arguments))
		r = sg_runc_prepare(&arguments, &error);
	if (!may_go_on(&arguments, r, &error))
		return SG_EXIT_FAILED;
	return hook ? SG_EXIT_OK : hand_over(&arguments);
}
