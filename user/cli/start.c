// SPDX-License-Identifier: Apache-2.0
#include "cli/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "spendgate/control.h"
#include "spendgate/exit.h"

#define START_MS 30000

#define START_ATTEMPTS 3

#ifndef SPENDGATE_SBIN
#define SPENDGATE_SBIN "/usr/local/sbin"
#endif

static void find_program(char *out, size_t size)
{
	if (sg_fd_program_beside("spendgated", out, size) < 0 || access(out, X_OK) < 0)
		snprintf(out, size, "%s", SPENDGATE_SBIN "/spendgated");
}

// What the daemon said when it could not start: the reason of its last log line.
static void last_reason(const char *log, char *out, size_t size)
{
	char line[2048] = "", read_line[2048];
	FILE *file = fopen(log, "re");
	const char *reason;
	char *end;

	while (file && fgets(read_line, sizeof(read_line), file))
		if (strstr(read_line, " error event="))
			memcpy(line, read_line, sizeof(line));
	if (file)
		fclose(file);
	reason = strstr(line, "reason=\"");
	snprintf(out, size, "%s", reason ? reason + 8 : "no reason was given");
	// The reason is the line's last field, and may have quotes of its own.
	out[strcspn(out, "\n")] = 0;
	end = reason ? strrchr(out, '"') : NULL;
	if (end)
		*end = 0;
}

static void __attribute__((noreturn))
become_daemon(const char *config_path, const char *log, int ready_fd)
{
	const char *arguments[8] = { "spendgated", "--on-demand", "--ready-fd", "3" };
	char program[PATH_MAX];
	int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640),
	    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (config_path) {
		arguments[4] = "--config";
		arguments[5] = config_path;
	}
	setsid(); // the terminal's signals are for the command, not for the daemon
	find_program(program, sizeof(program));
	if (dup2(ready_fd, 3) < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 ||
		dup2(log_fd >= 0 ? log_fd : null_fd, 2) < 0 || close_range(4, ~0U, 0) < 0)
		_exit(SG_EXIT_INTERNAL);
	execv(program, (char *const *)arguments);
	fprintf(stderr, "error event=exec reason=\"%s: %s\"\n", program, strerror(errno));
	_exit(SG_EXIT_NOT_FOUND);
}

// What the exit code of a daemon that could not start means for ours.
static int result_of_exit(int status)
{
	switch (WIFEXITED(status) ? WEXITSTATUS(status) : SG_EXIT_INTERNAL) {
	case SG_EXIT_NOPERM:
		return -EPERM;
	case SG_EXIT_CONFIG:
		return -EBADMSG;
	case SG_EXIT_CANTCREAT:
		return -ENOSPC;
	default:
		return -EREMOTEIO;
	}
}

static int start_daemon(const char *config_path, struct sg_error *error)
{
	char log[PATH_MAX], reason[1024], byte;
	int status = 0;
	int ready[2];
	struct pollfd waiting;
	pid_t pid;
	int r = sg_fd_make_directories(sg_daemon_run_directory(), 0755);

	if (r < 0)
		return sg_error_set(error, r, "%s: %s", sg_daemon_run_directory(), strerror(-r));
	snprintf(log, sizeof(log), "%s/spendgated.log", sg_daemon_run_directory());
	if (pipe2(ready, O_CLOEXEC) < 0)
		return sg_error_set(error, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		become_daemon(config_path, log, ready[1]);
	close(ready[1]);
	waiting = (struct pollfd){ .fd = ready[0], .events = POLLIN };
	if (pid < 0)
		r = sg_error_set(error, -errno, "fork: %s", strerror(errno));
	else if (poll(&waiting, 1, START_MS) <= 0)
		r = sg_error_set(error, -ETIMEDOUT, "spendgated has not come up: see %s", log);
	else if (read(ready[0], &byte, 1) != 1) {
		waitpid(pid, &status, 0);
		last_reason(log, reason, sizeof(reason));
		r = sg_error_set(error, result_of_exit(status),
			"spendgated could not start: %.400s", reason);
	}
	close(ready[0]);
	return r;
}

// Of two that find no daemon one starts it, and the other waits and uses that one.
static int lock_start(struct sg_error *error)
{
	char path[PATH_MAX];
	int r = sg_fd_make_directories(sg_daemon_run_directory(), 0755), fd;

	snprintf(path, sizeof(path), "%s/start.lock", sg_daemon_run_directory());
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", sg_daemon_run_directory(), strerror(-r));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			r = sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
			close(fd);
			return r;
		}
	return fd;
}

static int connect_or_start(
	struct sg_daemon *daemon, const char *config_path, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int lock_fd = lock_start(error);
	int r = lock_fd < 0 ? lock_fd : sg_daemon_connect(daemon, error);

	for (int i = 0; lock_fd >= 0 && r < 0 && i < START_ATTEMPTS; i++) {
		r = start_daemon(config_path, error);
		if (r < 0)
			break;
		r = sg_daemon_connect(daemon, error);
	}
	return r;
}

int sg_start_need_root(const char *command, struct sg_error *error)
{
	return geteuid() == 0 ? 0
			      : sg_error_set(error, -EPERM,
					"%s needs root to attach BPF programs: use sudo", command);
}

int sg_start_open(
	struct sg_daemon *daemon, bool start, const char *config_path, struct sg_error *error)
{
	int r = sg_daemon_connect(daemon, error);

	if (r < 0 && start)
		return connect_or_start(daemon, config_path, error);
	if (r == 0 && config_path)
		fprintf(stderr,
			"spendgate: --config %s is not read: a spendgated runs already, with a "
			"configuration of its own\n",
			config_path);
	if (r == -EACCES || r == -EPERM)
		return sg_error_set(error, -EPERM, "only root may talk to spendgated: use sudo");
	if (r < 0)
		return sg_error_set(error, r,
			"no spendgated answers at %s/control.sock: start it with systemctl start "
			"spendgated",
			sg_daemon_run_directory());
	return 0;
}

int sg_start_ask(json_t *request, int refused, json_t **ret_answer)
{
	struct sg_daemon daemon = { -1 };
	struct sg_error error = { "" };
	int code = SG_EXIT_OK;
	int r = sg_start_open(&daemon, false, NULL, &error);

	if (r < 0)
		code = r == -EPERM ? SG_EXIT_NOPERM : SG_EXIT_UNAVAILABLE;
	else if (sg_daemon_ask(&daemon, request, NULL, 0, ret_answer, &error) < 0)
		code = refused;
	if (code != SG_EXIT_OK)
		fprintf(stderr, "spendgate: %s\n", error.text);
	sg_daemon_close(&daemon);
	json_decref(request);
	return code;
}
