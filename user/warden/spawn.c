// SPDX-License-Identifier: Apache-2.0
#include "warden/spawn.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "spendgate/control.h"
#include "warden/warden.h"

#define FIRST_FREE_UID 61355
#define LAST_FREE_UID  65519

// Without a user of our own the enforcer gets a number that is nobody's: whoever runs as "nobody"
// must not be able to signal it or write its ledger. The range is the one that systemd draws its
// dynamic users from.
static int find_free_user(struct sg_warden *warden, struct sg_error *error)
{
	for (uid_t uid = FIRST_FREE_UID; uid <= LAST_FREE_UID; uid++)
		if (!getpwuid(uid) && !getgrgid(uid)) {
			warden->enforcer_uid = uid;
			warden->enforcer_gid = uid;
			sg_log(SG_LOG_INFO, "user",
				"uid=%u reason=\"there is no user " SG_DEFAULT_USER "\"", uid);
			return 0;
		}
	return sg_error_set(error, -ENOENT,
		"there is no user " SG_DEFAULT_USER ": useradd --system " SG_DEFAULT_USER);
}

int sg_spawn_find_user(struct sg_warden *warden, struct sg_error *error)
{
	const char *configured = json_string_value(json_object_get(warden->config, "user"));
	const struct passwd *user = getpwnam(configured ? configured : SG_DEFAULT_USER);

	if (!user && configured)
		return sg_error_set(error, -ENOENT,
			"user \"%s\" does not exist: useradd --system %s", configured, configured);
	if (!user)
		return find_free_user(warden, error);
	if (user->pw_uid == 0)
		return sg_error_set(error, -EINVAL,
			"the enforcer must not run as root: choose another \"user\"");
	warden->enforcer_uid = user->pw_uid;
	warden->enforcer_gid = user->pw_gid;
	return 0;
}

static void ledger_directory(const struct sg_warden *warden, char *out, size_t size)
{
	snprintf(out, size, "%s/ledger", warden->state_directory);
}

// The user may have changed since the last start: the files go with it.
static int own_files(const char *directory, uid_t uid, gid_t gid)
{
	static const char *const names[] = { "", "/holds.journal", "/ledger.db", "/ledger.db-wal",
		"/ledger.db-shm", "/lock", "/audit.jsonl", "/overrides.json", "/layers.json" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s%s", directory, names[i]);
		if (lchown(path, uid, gid) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int sg_spawn_prepare_state(const struct sg_warden *warden, struct sg_error *error)
{
	char directory[PATH_MAX];
	int r;

	ledger_directory(warden, directory, sizeof(directory));
	r = sg_fd_make_directories(directory, 0755);
	if (r == 0 && chmod(directory, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = own_files(directory, warden->enforcer_uid, warden->enforcer_gid);
	return r < 0 ? sg_error_set(error, r, "%s: %s", directory, strerror(-r)) : 0;
}

// Next to our own binary in a build folder; else where `make install` puts it, below any prefix.
static int find_program(char *out, size_t size)
{
	int r = sg_fd_program_beside("spendgate-enforcer", out, size);

	return r < 0 || access(out, X_OK) == 0
		       ? r
		       : sg_fd_program_beside("../libexec/spendgate/spendgate-enforcer", out, size);
}

static int drop_privileges(const struct sg_warden *warden)
{
	if (setgroups(0, NULL) < 0 || setgid(warden->enforcer_gid) < 0)
		return -errno;
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return -EPERM;
	if (setuid(warden->enforcer_uid) < 0)
		return -errno;
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static void __attribute__((noreturn))
become_enforcer(const struct sg_warden *warden, const char *program)
{
	// The path may lead through folders that the enforcer's user must not see (a home).
	int fd = open(program, O_PATH | O_CLOEXEC);
	char state[PATH_MAX];
	const char *arguments[] = { "spendgate-enforcer", "--run-dir", warden->run_directory,
		"--state-dir", state, NULL };
	const char *environment[] = { "PATH=/usr/bin:/bin", NULL };
	sigset_t none;
	int r = fd < 0 ? -errno : 0;

	ledger_directory(warden, state, sizeof(state));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); // signals of the terminal are the warden's
	if (r == 0)
		r = sg_cgroup_enter(warden->service_cgroup_fd, 0);
	if (r == 0)
		r = drop_privileges(warden);
	if (r == 0 && syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		r = -errno;
	if (r == 0) {
		syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
		r = -errno;
	}
	sg_log(SG_LOG_ERROR, "enforcer_start", "program=%s reason=\"%s\"", program, strerror(-r));
	_exit(127);
}

int sg_spawn_enforcer(struct sg_warden *warden, pid_t *ret_pid)
{
	char program[PATH_MAX];
	int r = find_program(program, sizeof(program));
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_enforcer(warden, program);
	*ret_pid = pid;
	return 0;
}

void sg_spawn_stop(pid_t pid, int patience_ms)
{
	SG_CLEANUP_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd waiting = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
	if (poll(&waiting, 1, patience_ms) == 0) {
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		poll(&waiting, 1, 5000);
	}
	waitpid(pid, NULL, WNOHANG);
}
