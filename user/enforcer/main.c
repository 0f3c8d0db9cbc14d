// SPDX-License-Identifier: Apache-2.0
// spendgate-enforcer: everything that parses agent or provider bytes, in a process that owns
// nothing worth stealing. Started by spendgated; takes its configuration, its listeners and its
// agents from it.
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "enforcer/commands.h"
#include "enforcer/hook.h"
#include "enforcer/leaf.h"
#include "enforcer/link.h"
#include "enforcer/pending.h"
#include "enforcer/reconfigure.h"
#include "enforcer/record.h"
#include "enforcer/sandbox.h"
#include "enforcer/upstream_tls.h"
#include "enforcer/webhook.h"
#include "enforcer/worker.h"
#include "spendgate/control.h"
#include "spendgate/exit.h"

// Calls are kept in the ledger for this long, where the configuration does not say.
#define DEFAULT_RETENTION_NS (400 * 86400 * SG_NS_PER_SEC)

struct options {
	const char *run_directory;
	const char *state_directory;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'r':
		options->run_directory = argument;
		return 0;
	case 's':
		options->state_directory = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "run-dir", 'r', "DIR", 0, "where warden.sock is (default " SG_DEFAULT_RUN_DIRECTORY ")",
		0 },
	{ "state-dir", 's', "DIR", 0, "where journal and ledger are", 0 },
	{ 0 },
};

static const struct argp argp = { option_table, parse_option, NULL,
	"spendgate-enforcer: the unprivileged half of spendgate. spendgated starts it; there is no "
	"need to run it by hand.",
	NULL, NULL, NULL };

// ---- Set up ----

static unsigned worker_count(const json_t *configuration)
{
	json_int_t wanted = json_integer_value(json_object_get(configuration, "workers"));
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted <= 0)
		wanted = processors > 0 ? processors : 1;
	return wanted > SG_MAX_WORKERS ? SG_MAX_WORKERS : (unsigned)wanted;
}

static int own_netns_cookie(uint64_t *ret_cookie)
{
	SG_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*ret_cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &length) < 0)
		return -errno;
	return 0;
}

// Before the engine, which tells it of alerts.
static int open_audit(
	struct sg_enforcer *enforcer, const struct options *options, struct sg_error *error)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/audit.jsonl", options->state_directory);
	r = sg_audit_open(path, &enforcer->audit);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	r = sg_alerts_new(&enforcer->alerts);
	return r < 0 ? sg_error_set(error, r, "%s", strerror(-r)) : 0;
}

static int open_control(struct sg_enforcer *enforcer, const struct options *options,
	const json_t *configuration, struct sg_error *error)
{
	struct sg_control_options control = { .engine = enforcer->engine,
		.audit = enforcer->audit,
		.state_directory = options->state_directory };
	int r = sg_control_new(&control, &enforcer->control, error);

	if (r < 0)
		return r;
	r = sg_commands_new(enforcer, &enforcer->commands);
	if (r < 0)
		return sg_error_set(error, r, "%s", strerror(-r));
	return sg_commands_configure(enforcer, configuration, error);
}

// From any worker's thread. A worker that can't be told asks again when its calls' time is over.
static void tell_room(void *context, unsigned worker)
{
	struct sg_enforcer *enforcer = context;
	struct sg_mail mail = { .kind = SG_MAIL_ROOM, .fds = { -1, -1 } };

	if (sg_worker_post(enforcer->workers[worker], &mail) < 0)
		sg_log(SG_LOG_ERROR, "mailbox", "worker=%u reason=\"out of memory\"", worker);
}

static bool is_text(const json_t *configuration, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(configuration, key));

	return value && strcmp(value, text) == 0;
}

static int open_engine(struct sg_enforcer *enforcer, const struct options *options,
	const json_t *configuration, struct sg_error *error)
{
	const char *retention = json_string_value(json_object_get(configuration, "retention"));
	struct sg_engine_options engine = { .state_directory = options->state_directory,
		.workers = enforcer->worker_count,
		.on_room = tell_room,
		.on_room_context = enforcer,
		.sync_before_dispatch = is_text(configuration, "durability", "power"),
		.retention_ns = DEFAULT_RETENTION_NS,
		.on_event = sg_record_budget_event,
		.on_event_context = enforcer };
	int r;

	if (retention && sg_window_parse(retention, &engine.retention_ns) < 0)
		return sg_error_set(error, -EINVAL, "retention: must be a duration");
	r = sg_engine_open(&engine, &enforcer->engine, error);
	if (r == 0)
		r = sg_pendings_restore(
			enforcer->pendings, enforcer->engine, enforcer->prices, error);
	return r < 0 ? r : sg_set_shared_budgets(enforcer, configuration, error);
}

static int open_parts(struct sg_enforcer *enforcer, const struct options *options,
	const json_t *configuration, SSL_CTX **ret_context, struct sg_error *error)
{
	struct sg_price_table *prices = NULL;
	int r = own_netns_cookie(&enforcer->netns_cookie);

	if (r < 0)
		return sg_error_set(error, r, "SO_NETNS_COOKIE: %s (Linux 5.14 or later is needed)",
			strerror(-r));
	enforcer->spill_directory = options->state_directory;
	r = sg_providers_configure(json_object_get(configuration, "providers"), error);
	if (r == 0)
		r = sg_load_prices(configuration, &prices, error);
	if (r < 0)
		return r;
	enforcer->prices = prices;
	enforcer->refuses_plainly = is_text(configuration, "refusal", "reference");
	enforcer->budget_fail_open = is_text(configuration, "budget_fail_mode", "open");
	sg_set_amounts(enforcer, configuration);
	r = sg_upstream_context_new(NULL, ret_context, error);
	if (r == 0)
		r = sg_pendings_new(enforcer->worker_count, &enforcer->pendings);
	if (r == 0)
		r = open_audit(enforcer, options, error);
	if (r == 0)
		r = sg_webhook_new(json_object_get(configuration, "webhook"), *ret_context,
			&enforcer->webhook, error);
	if (r == 0)
		r = open_engine(enforcer, options, configuration, error);
	if (r < 0)
		return r;
	r = open_control(enforcer, options, configuration, error);
	if (r < 0)
		return r;
	r = sg_agents_new(enforcer->control, *ret_context, &enforcer->agents);
	if (r < 0)
		return sg_error_set(error, r, "out of memory");
	return sg_evaluator_new(json_object_get(configuration, "policy"), *ret_context,
		&enforcer->evaluator, error);
}

static int start_workers(struct sg_enforcer *enforcer)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < enforcer->worker_count; i++)
		r = sg_worker_start(enforcer, i, &enforcer->workers[i]);
	if (r == 0)
		sg_webhook_serve(enforcer->webhook, enforcer->workers[0]);
	return r;
}

// ---- Signals ----

struct stop_signal {
	struct sg_watch watch; // first
	struct sg_loop *loop;
};

static void on_signal(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) == sizeof(info))
		sg_loop_stop(((struct stop_signal *)watch)->loop);
}

// Before any thread: they inherit the mask, so that only the main loop sees these signals.
static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// ---- Run ----

static int run(struct sg_enforcer *enforcer, const struct options *options, struct sg_error *error)
{
	struct stop_signal stop = { .loop = NULL };
	struct sg_loop *loop = NULL;
	SSL_CTX *context = NULL;
	json_t *configuration = NULL;
	int signal_fd = -1, r = sg_link_connect(enforcer->link, enforcer->leaves, &configuration);

	if (r < 0)
		return sg_error_set(error, r, "%s/warden.sock: %s: is spendgated running?",
			options->run_directory, strerror(-r));
	// Until here a signal simply ends the process; from here on it ends it in order.
	signal_fd = block_signals();
	sg_set_log_level(configuration);
	enforcer->configuration = configuration;
	enforcer->worker_count = worker_count(configuration);
	r = signal_fd < 0 ? signal_fd
			  : open_parts(enforcer, options, configuration, &context, error);
	if (r == 0)
		r = sg_loop_new(&loop);
	if (r == 0)
		r = start_workers(enforcer);
	if (r == 0) {
		stop.loop = loop;
		r = sg_loop_watch(loop, &stop.watch, signal_fd, EPOLLIN, on_signal);
	}
	if (r == 0)
		r = sg_link_start(enforcer->link, enforcer, loop);
	// All threads run; agents come with the first message that the loop reads.
	if (r == 0)
		r = sg_sandbox_enter(error);
	if (r == 0) {
		sg_log(SG_LOG_INFO, "started", "workers=%u state=%s", enforcer->worker_count,
			options->state_directory);
		r = sg_loop_run(loop);
	}
	sg_webhook_serve(enforcer->webhook, NULL);
	for (unsigned i = 0; i < enforcer->worker_count; i++)
		sg_worker_end(enforcer->workers[i]);
	for (unsigned i = 0; i < enforcer->worker_count; i++)
		sg_worker_stop(enforcer->workers[i]);
	sg_commands_free(enforcer->commands);
	sg_agents_free(enforcer->agents);
	sg_evaluator_free(enforcer->evaluator);
	sg_control_free(enforcer->control);
	sg_engine_close(enforcer->engine);
	sg_webhook_free(enforcer->webhook);
	sg_alerts_free(enforcer->alerts);
	sg_audit_close(enforcer->audit); // after the last event of a budget
	sg_pendings_free(enforcer->pendings);
	sg_price_table_free((struct sg_price_table *)atomic_load(&enforcer->prices));
	SSL_CTX_free(context);
	sg_loop_free(loop);
	json_decref(configuration);
	if (signal_fd >= 0)
		close(signal_fd);
	if (r < 0 && !error->text[0])
		sg_error_set(error, r, "%s", strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	struct options options = { SG_DEFAULT_RUN_DIRECTORY, SG_DEFAULT_STATE_DIRECTORY "/ledger" };
	struct sg_enforcer *enforcer = calloc(1, sizeof(*enforcer));
	struct sg_error error = { "" };
	char path[256];
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	snprintf(path, sizeof(path), "%s/warden.sock", options.run_directory);
	prctl(PR_SET_DUMPABLE, 0);
	// It was started by a descriptor, which gives it the descriptor's number for a name.
	prctl(PR_SET_NAME, "spendgate-enforcer");
	signal(SIGPIPE, SIG_IGN);
	if (!enforcer)
		return SG_EXIT_INTERNAL;
	r = sg_link_new(path, &enforcer->link);
	if (r == 0)
		r = sg_leaves_new(sg_link_sign, enforcer->link, &enforcer->leaves);
	if (r == 0)
		r = run(enforcer, &options, &error);
	if (r < 0)
		sg_log(SG_LOG_ERROR, "start_failed", "reason=\"%s\"",
			error.text[0] ? error.text : strerror(-r));
	sg_leaves_free(enforcer->leaves);
	sg_link_free(enforcer->link);
	free(enforcer);
	return r < 0 ? SG_EXIT_FAILED : SG_EXIT_OK;
}
