// SPDX-License-Identifier: Apache-2.0
// spendgated, the warden: the small privileged half. Fences agents with BPF, keeps the CA key,
// starts the enforcer.
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "spendgate/control.h"
#include "spendgate/exit.h"
#include "spendgate/version.h"
#include "warden/config.h"
#include "warden/prices.h"
#include "warden/privileges.h"
#include "warden/reload.h"
#include "warden/setup.h"
#include "warden/spawn.h"
#include "warden/warden.h"

struct options {
	struct sg_warden *warden;
	bool purge;
	bool check;
	int ready_fd;
};

enum { KEY_ON_DEMAND = 256, KEY_READY_FD, KEY_PURGE, KEY_CHECK };

static const struct argp_option option_table[] = {
	{ "config", 'c', "FILE", 0, "configuration (default " SG_DEFAULT_CONFIG ", if it is there)",
		0 },
	{ "run-dir", 'r', "DIR", 0, "sockets and agents (default " SG_DEFAULT_RUN_DIRECTORY ")",
		0 },
	{ "state-dir", 's', "DIR", 0, "CA and ledger (default " SG_DEFAULT_STATE_DIRECTORY ")", 0 },
	{ "pin-dir", 'p', "DIR", 0, "BPF pins (default " SG_DEFAULT_PIN_DIRECTORY ")", 0 },
	{ "on-demand", KEY_ON_DEMAND, NULL, 0,
		"exit and remove everything when the last agent is gone", 0 },
	{ "ready-fd", KEY_READY_FD, "FD", 0,
		"write a byte to this descriptor when agents can be registered", 0 },
	{ "check", KEY_CHECK, NULL, 0, "check the configuration, and exit", 0 },
	{ "purge", KEY_PURGE, NULL, 0,
		"remove the pins and cgroups of an instance that is not running, and exit", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'c':
		options->warden->config_path = argument;
		options->warden->config_given = true;
		return 0;
	case 'r':
		options->warden->run_directory = argument;
		return 0;
	case 's':
		options->warden->state_directory = argument;
		return 0;
	case 'p':
		options->warden->pin_directory = argument;
		return 0;
	case KEY_ON_DEMAND:
		options->warden->on_demand = true;
		return 0;
	case KEY_READY_FD:
		options->ready_fd = atoi(argument);
		return 0;
	case KEY_CHECK:
		options->check = true;
		return 0;
	case KEY_PURGE:
		options->purge = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "spendgated " SG_VERSION;

static const struct argp argp = { option_table, parse_option, NULL,
	"spendgated: puts a hard spending limit on the agents that `spendgate run` registers. "
	"SIGHUP, or `spendgate reload`: reads the configuration again.\v"
	"Exit codes: 0 stopped; 64 usage; 69 kernel, cgroup v2 or BTF missing; 73 directory not "
	"writable; 77 not root; "
	"78 configuration; 1 anything else.",
	NULL, NULL, NULL };

static const char *from_environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

struct signals {
	struct sg_watch watch; // first
	struct sg_warden *warden;
};

// SIGHUP reads the configuration again, the others end the service.
static void on_signal(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct signals *signals = (struct signals *)watch;
	struct sg_error error = { "" };
	struct signalfd_siginfo info;
	char restart[128];

	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		sg_loop_stop(signals->warden->loop);
	else if (sg_reload(signals->warden, restart, sizeof(restart), &error) < 0)
		return; // it has told why
}

static int block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct sg_warden *warden, const struct options *options, struct sg_error *error)
{
	struct signals signals = { .watch.fd = -1, .warden = warden };
	int signal_fd = block_signals(), r;
	bool started;

	if (signal_fd < 0)
		return sg_error_set(error, signal_fd, "signalfd: %s", strerror(-signal_fd));
	r = sg_setup_start(warden, error);
	if (r == 0)
		r = sg_loop_watch(warden->loop, &signals.watch, signal_fd, EPOLLIN, on_signal);
	started = r == 0;
	if (started) {
		sg_setup_tell_ready(options->ready_fd);
		sg_log(SG_LOG_INFO, "started", "run=%s state=%s", warden->run_directory,
			warden->state_directory);
		r = sg_loop_run(warden->loop);
	}
	sg_setup_stop(warden, started);
	close(signal_fd);
	return r;
}

int main(int argc, char **argv)
{
	struct sg_warden warden = {
		.run_directory = from_environment(SG_ENV_RUN_DIRECTORY, SG_DEFAULT_RUN_DIRECTORY),
		.state_directory =
			from_environment(SG_ENV_STATE_DIRECTORY, SG_DEFAULT_STATE_DIRECTORY),
		.pin_directory = from_environment(SG_ENV_PIN_DIRECTORY, SG_DEFAULT_PIN_DIRECTORY),
		.config_path = SG_DEFAULT_CONFIG,
		.service_cgroup_fd = -1,
		.enforcer_listen_fd = -1,
		.control_fd = -1,
		.enforcer_watch.fd = -1,
		.enforcer_listen_watch.fd = -1,
		.control_watch.fd = -1,
		.redirect_watch.fd = -1,
	};
	struct options options = { .warden = &warden, .ready_fd = -1 };
	struct sg_error error = { "" };
	int r;

	if (sg_fd_fill_standard() < 0)
		return SG_EXIT_INTERNAL;
	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	prctl(PR_SET_DUMPABLE, 0); // the CA key is in here
	r = sg_config_load(warden.config_path, warden.config_given, &warden.config, &error);
	if (r == 0)
		r = sg_prices_add(&warden, warden.config, &error);
	if (r == 0 && json_object_get(warden.config, "user"))
		r = sg_spawn_find_user(&warden, &error);
	if (r < 0) {
		sg_log(SG_LOG_ERROR, "bad_configuration", "reason=\"%s\"", error.text);
		return SG_EXIT_CONFIG;
	}
	if (options.check) {
		json_decref(warden.config);
		return SG_EXIT_OK;
	}
	r = sg_redirect_probe(&error);
	if (r == 0)
		sg_privileges_raise_limits();
	if (r == 0)
		r = sg_privileges_reduce(&error);
	if (r == 0)
		r = options.purge ? sg_setup_purge(&warden, &error)
				  : run(&warden, &options, &error);
	if (r < 0)
		sg_log(SG_LOG_ERROR, "start_failed", "reason=\"%s\"%s",
			error.text[0] ? error.text : strerror(-r),
			r == -ENOSPC ? " remedy=\"make room on that file system\"" : "");
	json_decref(warden.config);
	return sg_setup_exit_code(r);
}
