// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "redirect/cgroup.h"
#include "spendgate/exit.h"

static volatile sig_atomic_t command_pid;
static volatile sig_atomic_t early_signal; // came before there was a command

// The terminal sends its signals (INT, QUIT, TSTP) to the command itself, which is in our process
// group; what is sent to us alone is for the command.
static const int forwarded[] = { SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };

static void forward(int signal_number)
{
	int saved = errno;

	if (command_pid > 0)
		kill((pid_t)command_pid, signal_number);
	else
		early_signal = signal_number;
	errno = saved;
}

static const int ignored[] = { SIGINT, SIGQUIT };

// What the command must find as we found it.
struct signals {
	sigset_t mask;
	struct sigaction forwarded[SG_ARRAY_SIZE(forwarded)];
	struct sigaction ignored[SG_ARRAY_SIZE(ignored)];
};

// With the signals blocked, so that none is lost before there is a command to forward it to. One
// that was ignored stays so (nohup).
static void set_handlers(struct signals *saved)
{
	struct sigaction action = { .sa_handler = forward };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &saved->mask);
	for (size_t i = 0; i < SG_ARRAY_SIZE(forwarded); i++) {
		sigaction(forwarded[i], NULL, &saved->forwarded[i]);
		if (saved->forwarded[i].sa_handler != SIG_IGN)
			sigaction(forwarded[i], &action, NULL);
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &ignore, &saved->ignored[i]);
}

static void restore_signals(const struct signals *saved)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(forwarded); i++)
		sigaction(forwarded[i], &saved->forwarded[i], NULL);
	for (size_t i = 0; i < SG_ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &saved->ignored[i], NULL);
	sigprocmask(SIG_SETMASK, &saved->mask, NULL);
}

// Returns 0, -ENOENT where it is not set, or -EINVAL.
static int number_from(const char *name, uint32_t *ret_number)
{
	const char *text = getenv(name);
	unsigned long long value;
	char *end;

	if (!text || !*text)
		return -ENOENT;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || value >= UINT32_MAX)
		return -EINVAL;
	*ret_number = (uint32_t)value;
	return 0;
}

// Sudo makes these root's. What is not root's was set on purpose.
static int replace_variable(const char *name, const char *of_root, const char *value)
{
	const char *set = getenv(name);

	if (set && strcmp(set, of_root) != 0)
		return 0;
	return setenv(name, value, 1) < 0 ? -errno : 0;
}

// A program that looks for its files in root's home, as whom it does not run, finds none.
static int set_variables(const struct passwd *user)
{
	int r = replace_variable("HOME", "/root", user->pw_dir);

	if (r == 0)
		r = replace_variable("USER", "root", user->pw_name);
	if (r == 0)
		r = replace_variable("LOGNAME", "root", user->pw_name);
	return r;
}

// Sudo tells who called; without sudo the command stays root. What can't be understood is no reason
// to do so.
static int become_invoker(void)
{
	const struct passwd *user = NULL;
	uint32_t uid = 0, gid = 0;
	int r = number_from("SUDO_UID", &uid);

	if (r == -ENOENT || (r == 0 && uid == 0))
		return 0;
	if (r == 0) {
		user = getpwuid(uid);
		gid = user ? user->pw_gid : 0;
		r = number_from("SUDO_GID", &gid);
		r = r == -ENOENT && user ? 0 : r;
	}
	if (r == 0 && (user ? initgroups(user->pw_name, gid) : setgroups(0, NULL)) < 0)
		r = -errno;
	if (r == 0 && (setgid(gid) < 0 || setuid(uid) < 0))
		r = -errno;
	return r == 0 && user ? set_variables(user) : r;
}

static void __attribute__((noreturn))
become_command(char *const *command, int cgroup_fd, const struct signals *saved)
{
	int r = sg_cgroup_enter(cgroup_fd, 0);

	if (r < 0) {
		fprintf(stderr, "spendgate: the command can't be started: %s\n", strerror(-r));
		_exit(SG_EXIT_INTERNAL);
	}
	r = become_invoker();
	if (r < 0) {
		fprintf(stderr,
			"spendgate: the command can't become the user of SUDO_UID and SUDO_GID "
			"(%s): set both to a user's and a group's number, or unset both to run it "
			"as root\n",
			strerror(-r));
		_exit(SG_EXIT_INTERNAL);
	}
	restore_signals(saved);
	execvp(command[0], command);
	r = errno;
	fprintf(stderr, "spendgate: %s: %s\n", command[0], strerror(r));
	_exit(r == ENOENT ? SG_EXIT_NOT_FOUND : SG_EXIT_NOT_EXECUTABLE);
}

int sg_command_run(char *const *command, int cgroup_fd, int *ret_code, struct sg_error *error)
{
	struct signals saved;
	int status;
	pid_t pid;

	set_handlers(&saved);
	pid = fork();
	if (pid < 0) {
		int r = sg_error_set(error, -errno, "fork: %s", strerror(errno));

		restore_signals(&saved);
		return r;
	}
	if (pid == 0)
		become_command(command, cgroup_fd, &saved);
	command_pid = pid;
	sigprocmask(SIG_SETMASK, &saved.mask, NULL);
	if (early_signal)
		kill(pid, early_signal);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return sg_error_set(error, -errno, "waitpid: %s", strerror(errno));
	command_pid = 0;
	*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}
