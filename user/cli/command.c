// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
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

static long number_from(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long value;

	if (!text || !*text)
		return -1;
	value = strtol(text, &end, 10);
	return *end ? -1 : value;
}

// sudo tells who called; without sudo the command stays root.
static int become_invoker(void)
{
	long uid = number_from("SUDO_UID"), gid = number_from("SUDO_GID");
	const struct passwd *user;

	if (uid <= 0 || gid < 0)
		return 0;
	user = getpwuid((uid_t)uid);
	if ((user ? initgroups(user->pw_name, (gid_t)gid) : setgroups(0, NULL)) < 0)
		return -errno;
	if (setgid((gid_t)gid) < 0 || setuid((uid_t)uid) < 0)
		return -errno;
	return 0;
}

static void __attribute__((noreturn))
become_command(char *const *command, int cgroup_fd, const struct signals *saved)
{
	int r = sg_cgroup_enter(cgroup_fd, 0);

	if (r == 0)
		r = become_invoker();
	if (r < 0) {
		fprintf(stderr, "spendgate: the command can't be started: %s\n", strerror(-r));
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
