// SPDX-License-Identifier: Apache-2.0
// `spendgate run`: a command as an agent.
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fd.h"
#include "budget/policy.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/start.h"
#include "redirect/cgroup.h"
#include "spendgate/exit.h"

#define CA_LIMIT (4u << 20)

struct options {
	const char *agent;
	const char *limit_usd;
	const char *max_requests;
	const char *max_tokens;
	const char *window;
	const char *on_tight;
	const char *wait;
	const char *config_path;
	const char *egress;
	bool policy_exempt;
	const char *upstream_ca;
	const char *status_file;
	json_t *origins;
	char **command;
};

enum {
	KEY_LIMIT = 256,
	KEY_REQUESTS,
	KEY_TOKENS,
	KEY_WINDOW,
	KEY_ON_TIGHT,
	KEY_WAIT,
	KEY_CONFIG,
	KEY_ORIGIN,
	KEY_CA,
	KEY_STATUS,
	KEY_EGRESS,
	KEY_POLICY_EXEMPT
};

static const struct argp_option option_table[] = {
	{ "agent", 'a', "NAME", 0, "spending is remembered by this name (default: the command's)",
		0 },
	{ "limit-usd", KEY_LIMIT, "USD", 0, "the most that the providers may bill, as 0.50", 0 },
	{ "max-requests", KEY_REQUESTS, "N", 0, "the most calls", 0 },
	{ "max-tokens", KEY_TOKENS, "N", 0, "the most tokens, input and output together", 0 },
	{ "window", KEY_WINDOW, "WINDOW", 0,
		"rolling window of the caps, as 90s, 1h30m, 24h, 7d; or lifetime (default)", 0 },
	{ "on-tight", KEY_ON_TIGHT, "deny|clamp|cut", 0,
		"a call that no longer fits whole is refused (default), gets a lower output limit, "
		"or, where it streams, is ended at the cap",
		0 },
	{ "wait", KEY_WAIT, "DURATION", 0,
		"how long a call waits for room that other calls hold (default: 60s; 0s: not at "
		"all)",
		0 },
	{ "config", KEY_CONFIG, "FILE", 0, "configuration for a daemon that is brought along", 0 },
	{ "origin", KEY_ORIGIN, "HOST=ADDR:PORT", 0,
		"provider HOST is reached at this address; may be repeated", 0 },
	{ "upstream-ca", KEY_CA, "FILE", 0,
		"certificates (PEM) that are trusted towards providers, in place of the system's",
		0 },
	{ "egress", KEY_EGRESS, "agent|host", 0,
		"dial providers from the agent's network namespace (default) or the host's", 0 },
	{ "policy-exempt", KEY_POLICY_EXEMPT, NULL, 0,
		"ask no policy evaluator about its calls, as for the evaluator itself", 0 },
	{ "status-file", KEY_STATUS, "FILE", 0,
		"write the agent's status as JSON to this file at the end", 0 },
	{ 0 },
};

static void add_origin(struct argp_state *state, struct options *options, const char *argument)
{
	const char *equals = strchr(argument, '=');

	if (!equals || equals == argument || !equals[1])
		argp_error(state, "--origin \"%s\": must be HOST=ADDR:PORT", argument);
	json_array_append_new(
		options->origins, json_pack("{s:s%, s:s}", "host", argument,
					  (size_t)(equals - argument), "address", equals + 1));
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'a':
		options->agent = argument;
		return 0;
	case KEY_LIMIT:
		options->limit_usd = argument;
		return 0;
	case KEY_REQUESTS:
		options->max_requests = argument;
		return 0;
	case KEY_TOKENS:
		options->max_tokens = argument;
		return 0;
	case KEY_WINDOW:
		options->window = argument;
		return 0;
	case KEY_ON_TIGHT:
		options->on_tight = argument;
		return 0;
	case KEY_WAIT:
		options->wait = argument;
		return 0;
	case KEY_CONFIG:
		options->config_path = argument;
		return 0;
	case KEY_ORIGIN:
		add_origin(state, options, argument);
		return 0;
	case KEY_CA:
		options->upstream_ca = argument;
		return 0;
	case KEY_STATUS:
		options->status_file = argument;
		return 0;
	case KEY_EGRESS:
		options->egress = argument;
		return 0;
	case KEY_POLICY_EXEMPT:
		options->policy_exempt = true;
		return 0;
	case ARGP_KEY_ARGS:
		options->command = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, "-- COMMAND [ARG...]",
	"Runs COMMAND as an agent: its calls to LLM providers are metered and stop at the caps. "
	"COMMAND runs as the invoking user "
	"(sudo's SUDO_UID), with the spendgate CA in the environment. Uses a running spendgated, "
	"or brings its own.\v"
	"Without a cap everything passes and is counted. The exit status is COMMAND's own, 128+N "
	"when signal N ended it; 126 and 127 "
	"when it can't be executed or found; 64 usage; 69 kernel or daemon not available; 73 disk "
	"full; 77 not root; 78 configuration refused.",
	NULL, NULL, NULL };

// ---- The request ----

static int add_count(json_t *budget, const char *key, const char *option, const char *text,
	struct sg_error *error)
{
	char *end;
	long long value;

	if (!text)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || end == text)
		return sg_error_set(
			error, -EINVAL, "--%s \"%s\": must be a whole number", option, text);
	return json_object_set_new(budget, key, json_integer(value));
}

static int make_budgets(const struct options *options, json_t *budgets, struct sg_error *error)
{
	json_t *budget;
	int r = 0;

	if (!options->limit_usd && !options->max_requests && !options->max_tokens)
		return options->window || options->on_tight || options->wait
			       ? sg_error_set(error, -EINVAL,
					 "--window, --on-tight or --wait without a cap: give "
					 "--limit-usd, --max-requests or --max-tokens")
			       : 0;
	budget = json_pack("{s:s, s:s}", "name", "run", "window",
		options->window ? options->window : "lifetime");
	if (options->limit_usd)
		json_object_set_new(budget, "limit_usd", json_string(options->limit_usd));
	if (options->on_tight)
		json_object_set_new(budget, "on_tight", json_string(options->on_tight));
	if (options->wait)
		json_object_set_new(budget, "wait", json_string(options->wait));
	r = add_count(budget, "max_requests", "max-requests", options->max_requests, error);
	if (r == 0)
		r = add_count(budget, "max_tokens", "max-tokens", options->max_tokens, error);
	json_array_append_new(budgets, budget);
	return r;
}

static json_t *make_request(const struct options *options, struct sg_error *error)
{
	json_t *budgets = json_array();
	json_t *request = json_pack("{s:s, s:s, s:o, s:O}", "op", "register", "name",
		options->agent, "budgets", budgets, "origins", options->origins);
	char *pem;
	size_t length;
	int r = make_budgets(options, budgets, error);

	if (r == 0 && options->policy_exempt)
		json_object_set_new(request, "policy_exempt", json_true());
	if (r == 0 && options->egress)
		json_object_set_new(request, "egress", json_string(options->egress));
	if (r == 0 && options->upstream_ca) {
		r = sg_fd_read_file(options->upstream_ca, CA_LIMIT, &pem, &length);
		if (r < 0) {
			sg_error_set(error, r, "--upstream-ca %s: %s", options->upstream_ca,
				strerror(-r));
		} else {
			json_object_set_new(request, "upstream_ca", json_stringn(pem, length));
			free(pem);
		}
	}
	if (r < 0) {
		json_decref(request);
		return NULL;
	}
	return request;
}

// ---- The agent ----

struct agent {
	struct sg_daemon daemon;
	int cgroup_fd;
	char cgroup_path[PATH_MAX];
	json_int_t id;
	bool on_demand; // the daemon was brought along, by this or another run
	json_t *registered;
};

static int make_cgroup(struct agent *agent, const struct options *options, struct sg_error *error)
{
	json_t *request = json_pack("{s:s}", "op", "ping"), *answer = NULL;
	char root[PATH_MAX], fallback[PATH_MAX];
	int r = sg_daemon_ask(&agent->daemon, request, NULL, 0, &answer, error);

	json_decref(request);
	if (r < 0)
		return r;
	agent->on_demand = json_is_true(json_object_get(answer, "on_demand"));
	snprintf(fallback, sizeof(fallback), "%s/cgroup", sg_daemon_run_directory());
	r = sg_cgroup_root(fallback, root, sizeof(root), error);
	if (r == 0) {
		snprintf(agent->cgroup_path, sizeof(agent->cgroup_path), "%.3000s/%.200s/%.64s-%d",
			root, json_string_value(json_object_get(answer, "cgroup")), options->agent,
			(int)getpid());
		agent->cgroup_fd = sg_cgroup_make(agent->cgroup_path, error);
		r = agent->cgroup_fd < 0 ? agent->cgroup_fd : 0;
	}
	json_decref(answer);
	return r;
}

static int register_agent(
	struct agent *agent, const struct options *options, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	json_t *request = make_request(options, error);
	int r;

	if (!request)
		return -EINVAL;
	r = make_cgroup(agent, options, error);
	if (r == 0) {
		int fds[2] = { agent->cgroup_fd, netns_fd };

		r = sg_daemon_ask(&agent->daemon, request, fds, 2, &agent->registered, error);
	}
	if (r == 0)
		agent->id = json_integer_value(json_object_get(agent->registered, "id"));
	json_decref(request);
	return r;
}

static int set_environment(const struct agent *agent, struct sg_error *error)
{
	char directory[PATH_MAX];

	// The daemon removes it with the agent.
	snprintf(directory, sizeof(directory), "%s/trust/agent-%lld", sg_daemon_run_directory(),
		(long long)agent->id);
	return sg_environment_set(json_string_value(json_object_get(agent->registered, "ca")),
		json_string_value(json_object_get(agent->registered, "bundle")), directory, error);
}

// ---- The end ----

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "0";
}

static void print_spent(const struct options *options, const json_t *status)
{
	const json_t *budget = json_array_get(json_object_get(status, "budgets"), 0);
	const char *limit = json_string_value(json_object_get(budget, "limit_usd"));
	json_int_t calls = json_integer_value(json_object_get(status, "calls"));
	json_int_t refused = json_integer_value(json_object_get(status, "refused"));

	if (!json_is_object(status)) {
		fprintf(stderr,
			"spendgate: agent %s has ended; what it spent is in the ledger, but the "
			"enforcer "
			"does not answer now\n",
			options->agent);
		return;
	}
	fprintf(stderr, "spendgate: agent %s spent $%s", options->agent,
		text_of(budget ? budget : status, "spent_usd"));
	if (limit)
		fprintf(stderr, " of $%s", limit);
	fprintf(stderr, " (%lld call%s, %lld refused)\n", (long long)calls, calls == 1 ? "" : "s",
		(long long)refused);
}

static void release_agent(struct agent *agent, const struct options *options)
{
	json_t *request = json_pack("{s:s, s:I}", "op", "release", "id", agent->id), *answer = NULL;
	struct sg_error error = { "" };
	int r = sg_daemon_ask(&agent->daemon, request, NULL, 0, &answer, &error);

	if (r < 0) {
		// The daemon may have been restarted meanwhile: the new one knows the agent by its
		// id. Nobody restarts one that was brought along, or removes what it left.
		sg_daemon_close(&agent->daemon);
		r = sg_start_open(&agent->daemon, agent->on_demand, options->config_path, &error);
		if (r == 0)
			r = sg_daemon_ask(&agent->daemon, request, NULL, 0, &answer, &error);
	}
	json_decref(request);
	if (r < 0) {
		fprintf(stderr, "spendgate: %s\n", error.text);
		return;
	}
	print_spent(options, json_object_get(answer, "status"));
	if (options->status_file && json_is_object(json_object_get(answer, "status")) &&
		json_dump_file(json_object_get(answer, "status"), options->status_file,
			JSON_INDENT(1)) < 0)
		fprintf(stderr, "spendgate: --status-file %s: %s\n", options->status_file,
			strerror(errno));
	json_decref(answer);
}

static int exit_code_for(int result)
{
	switch (result) {
	case -EPERM:
		return SG_EXIT_NOPERM;
	case -EINVAL:
		return SG_EXIT_USAGE;
	case -EBADMSG:
		return SG_EXIT_CONFIG;
	case -EROFS:
	case -ENOSPC:
		return SG_EXIT_CANTCREAT;
	default:
		return SG_EXIT_UNAVAILABLE;
	}
}

static int run_agent(const struct options *options, int *ret_code, struct sg_error *error)
{
	struct agent agent = { .daemon.fd = -1, .cgroup_fd = -1 };
	int r = sg_start_open(&agent.daemon, true, options->config_path, error);

	if (r == 0)
		r = register_agent(&agent, options, error);
	if (r == 0)
		r = set_environment(&agent, error);
	if (r == 0)
		r = sg_command_run(options->command, agent.cgroup_fd, ret_code, error);
	if (agent.id)
		release_agent(&agent, options);
	else if (agent.cgroup_fd >= 0)
		rmdir(agent.cgroup_path);
	if (agent.cgroup_fd >= 0)
		close(agent.cgroup_fd);
	json_decref(agent.registered);
	sg_daemon_close(&agent.daemon);
	return r;
}

// It becomes a folder's before the daemon judges it.
static int check_name(const char *name, struct sg_error *error)
{
	struct sg_error why;

	return sg_name_check("agent", name, &why) == 0
		       ? 0
		       : sg_error_set(
				 error, -EINVAL, "%s: give it one with --agent NAME", why.text);
}

int sg_cli_run(int argc, char **argv)
{
	struct options options = { .origins = json_array() };
	struct sg_error error = { "" };
	const char *slash;
	int code = SG_EXIT_OK, r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
	if (!options.agent) {
		slash = strrchr(options.command[0], '/');
		options.agent = slash ? slash + 1 : options.command[0];
	}
	r = sg_start_need_root(argv[0], &error);
	if (r == 0)
		r = check_name(options.agent, &error);
	if (r == 0)
		r = run_agent(&options, &code, &error);
	if (r < 0) {
		fprintf(stderr, "spendgate: %s\n", error.text);
		code = exit_code_for(r);
	}
	json_decref(options.origins);
	return code;
}
