// SPDX-License-Identifier: Apache-2.0
#include "warden/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "provider/provider.h"
#include "redirect/cgroup.h"
#include "spendgate/exit.h"
#include "warden/api.h"
#include "warden/files.h"
#include "warden/guards.h"
#include "warden/resolver.h"
#include "warden/spawn.h"
#include "warden/agents_state.h"

#define LOCK_ATTEMPTS 50 // of 100 ms: an instance on demand may just be ending

static int lock_fd = -1; // held for the life of the process

// ---- Directories ----

static int take_lock(const struct sg_warden *warden, struct sg_error *error)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	char path[PATH_MAX], text[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/lock", warden->run_directory);
	lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock_fd < 0)
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	for (int i = 0; flock(lock_fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_ATTEMPTS) {
			n = pread(lock_fd, text, sizeof(text) - 1, 0);
			text[n > 0 ? n : 0] = 0;
			return sg_error_set(error, -EBUSY,
				"spendgated is already running on %s (pid %s)",
				warden->run_directory, text);
		}
		nanosleep(&pause, NULL);
	}
	snprintf(text, sizeof(text), "%d", (int)getpid());
	if (ftruncate(lock_fd, 0) < 0 || pwrite(lock_fd, text, strlen(text), 0) < 0)
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int make_directory(const char *path, struct sg_error *error)
{
	int r = sg_fd_make_directories(path, 0755);

	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

// ---- Cgroup ----

// One name an instance: agents of two instances must not meet.
static void name_cgroup(struct sg_warden *warden)
{
	unsigned hash = 2166136261u; // FNV-1a

	for (const char *c = warden->run_directory; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	snprintf(warden->cgroup_name, sizeof(warden->cgroup_name), "spendgate-%08x", hash);
}

static int enter_cgroup(struct sg_warden *warden, struct sg_error *error)
{
	char fallback[PATH_MAX];
	int r;

	snprintf(fallback, sizeof(fallback), "%s/cgroup", warden->run_directory);
	r = sg_cgroup_root(fallback, warden->cgroup_root, sizeof(warden->cgroup_root), error);
	if (r < 0)
		return r;
	name_cgroup(warden);
	snprintf(warden->service_cgroup, sizeof(warden->service_cgroup), "%.4000s/%s/service",
		warden->cgroup_root, warden->cgroup_name);
	warden->service_cgroup_fd = sg_cgroup_make(warden->service_cgroup, error);
	if (warden->service_cgroup_fd < 0)
		return warden->service_cgroup_fd;
	r = sg_cgroup_enter(warden->service_cgroup_fd, 0);
	return r < 0 ? sg_error_set(error, r, "cgroup %s: %s", warden->service_cgroup, strerror(-r))
		     : 0;
}

// Out of the group again, so that it can be removed while this process still runs.
static void leave_cgroup(struct sg_warden *warden)
{
	SG_CLEANUP_CLOSE int root_fd =
		open(warden->cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root_fd >= 0 && sg_cgroup_enter(root_fd, 0) == 0) {
		char path[PATH_MAX];

		snprintf(
			path, sizeof(path), "%.3900s/%s", warden->cgroup_root, warden->cgroup_name);
		if (sg_cgroup_remove(path) < 0)
			sg_log(SG_LOG_WARN, "cgroup", "path=%s reason=\"it can't be removed\"",
				path);
	}
}

// ---- CA ----

static int open_ca(struct sg_warden *warden, struct sg_error *error)
{
	const json_t *origins = json_object_get(warden->config, "origins");
	const char *hosts[512];
	char directory[PATH_MAX];
	unsigned count = 0;
	size_t index;
	json_t *origin;

	while (count < SG_ARRAY_SIZE(hosts) - 1 && sg_provider_host(count)) {
		hosts[count] = sg_provider_host(count);
		count++;
	}
	json_array_foreach((json_t *)origins, index, origin)
	{
		if (count < SG_ARRAY_SIZE(hosts) - 1)
			hosts[count++] = json_string_value(json_object_get(origin, "host"));
	}
	hosts[count] = NULL;
	snprintf(directory, sizeof(directory), "%s/ca", warden->state_directory);
	return sg_ca_open(directory, hosts, &warden->ca, error);
}

// ---- Order ----

static int start_redirect(struct sg_warden *warden, struct sg_error *error)
{
	int r = sg_redirect_open(warden->pin_directory, &warden->redirect, error);

	if (r < 0)
		return r;
	warden->namespaces.redirect = warden->redirect;
	// Before any listener: an accepted socket belongs to the cgroup in which its listener was
	// made.
	r = sg_redirect_attach_service(warden->redirect, warden->service_cgroup_fd, error);
	if (r == 0) {
		r = sg_loop_watch(warden->loop, &warden->redirect_watch,
			sg_redirect_event_fd(warden->redirect), EPOLLIN, sg_refusals_on_event);
		if (r < 0)
			sg_error_set(error, r, "epoll: %s", strerror(-r));
	}
	return r;
}

// Pins of an earlier version, when all that is known is attached anew.
static void forget_before(struct sg_warden *warden)
{
	unsigned left = sg_redirect_forget_before(warden->redirect);

	if (left)
		sg_log(SG_LOG_WARN, "pins_set_aside",
			"agents=%u reason=\"nothing is known of them but their fence\" "
			"effect=\"they "
			"reach nothing\" remedy=\"stop them, and run spendgated --purge before the "
			"next start\"",
			left);
}

int sg_setup_start(struct sg_warden *warden, struct sg_error *error)
{
	int r = make_directory(warden->run_directory, error);

	if (r == 0)
		r = take_lock(warden, error);
	if (r == 0)
		r = make_directory(warden->state_directory, error);
	if (r == 0)
		r = sg_loop_new(&warden->loop) < 0 ? sg_error_set(error, -ENOMEM, "out of memory")
						   : 0;
	if (r == 0)
		r = sg_spawn_find_user(warden, error);
	if (r == 0)
		r = sg_spawn_prepare_state(warden, error);
	if (r == 0)
		r = enter_cgroup(warden, error);
	if (r == 0)
		r = start_redirect(warden, error);
	if (r == 0)
		r = open_ca(warden, error);
	if (r == 0)
		r = sg_trust_write(warden, error);
	if (r == 0)
		r = sg_files_start(warden, &warden->files, error);
	if (r == 0)
		r = sg_api_sockets_open(warden, error);
	if (r == 0) {
		sg_resolver_look(warden);
		r = sg_enforcer_start(warden, error);
	}
	if (r == 0)
		r = sg_agents_adopt_all(warden, error);
	if (r == 0)
		forget_before(warden);
	if (r == 0) {
		sg_guards_tend(warden);
		sg_agents_reap(warden);
		sg_guards_end_others(warden, warden->config);
	}
	if (r == 0)
		r = sg_control_start(warden, error);
	return r;
}

static void notify_service_manager(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	SG_CLEANUP_CLOSE int fd = -1;

	if (!path || strlen(path) >= sizeof(address.sun_path))
		return;
	strcpy(address.sun_path, path);
	if (*path == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
		sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		sg_log(SG_LOG_WARN, "notify", "reason=\"%s\"", strerror(errno));
}

void sg_setup_tell_ready(int ready_fd)
{
	if (ready_fd >= 0) {
		if (write(ready_fd, "1", 1) < 0)
			sg_log(SG_LOG_WARN, "ready_fd", "reason=\"%s\"", strerror(errno));
		close(ready_fd);
	}
	notify_service_manager();
}

static void remove_run_files(const struct sg_warden *warden)
{
	static const char *const names[] = { "control.sock", "warden.sock", "api.sock",
		"trust/ca.pem", "trust/bundle.pem" };
	char path[PATH_MAX];

	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", warden->run_directory, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/trust", warden->run_directory);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/agents", warden->run_directory);
	rmdir(path);
}

static void see_alive(
	void *context, uint32_t agent_id SG_UNUSED, uint64_t cgroup_id SG_UNUSED, bool alive)
{
	bool *anybody = context;

	*anybody = *anybody || alive;
}

// By what is pinned: a start that failed knows no agents yet. Pins that can't be read may fence.
static bool is_anybody_fenced(const struct sg_warden *warden)
{
	bool anybody = false;

	return !warden->redirect || warden->agents ||
	       sg_redirect_each_agent(warden->redirect, see_alive, &anybody) < 0 || anybody;
}

void sg_setup_stop(struct sg_warden *warden, bool started)
{
	bool remove;

	if (!warden->loop)
		return;
	remove = (warden->on_demand || !started) && !is_anybody_fenced(warden);
	sg_control_stop(warden);
	sg_namespaces_shut(&warden->namespaces);
	sg_enforcer_stop(warden);
	sg_agents_free_all(warden);
	sg_resolver_stop(warden);
	warden->files = sg_files_stop(warden->files);
	sg_api_sockets_close(warden);
	sg_loop_unwatch(warden->loop, &warden->redirect_watch);
	// Whatever is still in the group is ended before the fence is taken away.
	if (remove)
		leave_cgroup(warden);
	if (remove && sg_redirect_remove_all(warden->pin_directory) < 0)
		sg_log(SG_LOG_WARN, "pins", "path=%s reason=\"they can't be removed\"",
			warden->pin_directory);
	sg_namespaces_done(&warden->namespaces);
	sg_redirect_close(warden->redirect);
	sg_ca_close(warden->ca);
	if (warden->service_cgroup_fd >= 0)
		close(warden->service_cgroup_fd);
	if (remove)
		remove_run_files(warden);
	sg_loop_run_deferred(warden->loop);
	sg_loop_free(warden->loop);
	if (lock_fd >= 0)
		close(lock_fd);
}

int sg_setup_purge(struct sg_warden *warden, struct sg_error *error)
{
	char fallback[PATH_MAX];
	int r = make_directory(warden->run_directory, error);

	if (r == 0)
		r = take_lock(warden, error);
	if (r < 0)
		return r;
	// What still runs in the groups is ended before the fence is taken away.
	snprintf(fallback, sizeof(fallback), "%s/cgroup", warden->run_directory);
	if (sg_cgroup_root(fallback, warden->cgroup_root, sizeof(warden->cgroup_root), error) ==
		0) {
		name_cgroup(warden);
		leave_cgroup(warden);
	}
	r = sg_redirect_remove_all(warden->pin_directory);
	remove_run_files(warden);
	return r < 0 ? sg_error_set(error, r, "%s: %s", warden->pin_directory, strerror(-r)) : 0;
}

int sg_setup_exit_code(int result)
{
	switch (result) {
	case 0:
		return SG_EXIT_OK;
	case -EPERM:
		return SG_EXIT_NOPERM;
	case -ENOSYS:
	case -ENOENT:
		return SG_EXIT_UNAVAILABLE;
	case -ENOSPC:
	case -EROFS:
	case -EACCES:
		return SG_EXIT_CANTCREAT;
	default:
		return SG_EXIT_FAILED;
	}
}
