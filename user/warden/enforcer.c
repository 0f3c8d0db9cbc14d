// SPDX-License-Identifier: Apache-2.0
// The enforcer as the warden sees it: supervised by its connection, not as a child, so that it
// outlives the warden.
#include "warden/warden.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/spawn.h"

#define ADOPT_MS	1000 // an enforcer that survived a warden's end has this long to come back
#define ASK_MS		10000
#define MAX_BACKOFF_MS	10000
#define MESSAGES_A_TURN 64
#define PROC_LIMIT	65536
#define STALE_MS	5000  // one that has not come back has this long to end
#define STOP_MS		15000 // it lets calls end, for SG_STOP_MS (enforcer/limits.h) at most
#define PROVEN_MS	10000 // an enforcer that lived this long has started well

static struct sg_warden *from_respawn(struct sg_timer *timer)
{
	return (struct sg_warden *)((char *)timer - offsetof(struct sg_warden, respawn));
}

static int64_t now_ms(void)
{
	return sg_clock_monotonic_ns() / SG_NS_PER_MS;
}

// The first two ends (a kill, a crash) cost no time; who keeps on failing waits.
static int64_t backoff_ms(unsigned failures)
{
	static const int64_t steps[] = { 1, 1, 1, 250, 1000, 2000, 5000 };

	return failures < SG_ARRAY_SIZE(steps) ? steps[failures] : MAX_BACKOFF_MS;
}

// Its user may also be that of agents ("nobody"): only a process in our own cgroup is the enforcer,
// and nobody but root gets in there.
static bool is_in_our_cgroup(pid_t pid)
{
	char path[64], *own = NULL, *theirs = NULL, *own_line, *their_line;
	size_t length;
	bool same = false;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (sg_fd_read_file("/proc/self/cgroup", PROC_LIMIT, &own, &length) == 0 &&
		sg_fd_read_file(path, PROC_LIMIT, &theirs, &length) == 0) {
		own_line = strstr(own, "0::");
		their_line = strstr(theirs, "0::");
		same = own_line && their_line && strcmp(own_line, their_line) == 0;
	}
	free(own);
	free(theirs);
	return same;
}

static void log_end(pid_t pid, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		sg_log(SG_LOG_ERROR, "enforcer_ended",
			"pid=%d signal=%d reason=\"it made a system call that its sandbox "
			"forbids\" "
			"remedy=\"the kernel's log (journalctl -k, type=1326) names the call: "
			"report "
			"it\"",
			(int)pid, WTERMSIG(status));
	else if (WIFSIGNALED(status))
		sg_log(SG_LOG_ERROR, "enforcer_ended", "pid=%d signal=%d", (int)pid,
			WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		sg_log(SG_LOG_ERROR, "enforcer_ended", "pid=%d exit=%d", (int)pid,
			WEXITSTATUS(status));
}

static void on_respawn(struct sg_timer *timer)
{
	struct sg_warden *warden = from_respawn(timer);
	int r, status;
	pid_t pid;

	// Earlier ones; an adopted one is not our child.
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		log_end(pid, status);
	if (warden->enforcer_watch.fd >= 0 || warden->stopping)
		return;
	r = sg_spawn_enforcer(warden, &warden->enforcer_pid);
	if (r < 0)
		sg_log(SG_LOG_ERROR, "enforcer_start", "reason=\"%s\"", strerror(-r));
	// Should it end before it connects, the next one is started by this timer.
	warden->failures++;
	sg_loop_arm(warden->loop, &warden->respawn, warden->failures < 5 ? 2000 : MAX_BACKOFF_MS,
		on_respawn);
}

static void disconnect(struct sg_warden *warden)
{
	int fd = warden->enforcer_watch.fd;

	sg_loop_unwatch(warden->loop, &warden->enforcer_watch);
	close(fd);
	warden->enforcer_ready = false;
	warden->enforcer_pid = 0;
	if (warden->stopping)
		return;
	sg_log(SG_LOG_ERROR, "enforcer_gone", "effect=\"agents are refused until it is back\"");
	// READY says nothing about its ledger and prices: only one that has lived was a good start.
	if (now_ms() - warden->enforcer_connected_ms >= PROVEN_MS)
		warden->failures = 0;
	sg_loop_arm(warden->loop, &warden->respawn, backoff_ms(warden->failures), on_respawn);
}

static void on_message(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_warden *warden =
		(struct sg_warden *)((char *)watch - offsetof(struct sg_warden, enforcer_watch));
	struct sg_channel_message message;
	int r = 1;

	// One that talks without end does not keep the warden from all else.
	for (int i = 0; i < MESSAGES_A_TURN && watch->fd >= 0 && r > 0; i++) {
		r = sg_channel_receive(watch->fd, &message);
		if (r > 0)
			sg_enforcer_take(warden, &message);
	}
	if (watch->fd >= 0 && r <= 0 && r != -EAGAIN)
		disconnect(warden);
}

static void on_connection(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_warden *warden =
		(struct sg_warden *)((char *)watch -
				     offsetof(struct sg_warden, enforcer_listen_watch));
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
		peer.uid != warden->enforcer_uid || !is_in_our_cgroup(peer.pid)) {
		sg_log(SG_LOG_WARN, "refused",
			"process=%d reason=\"a process of uid %u that is no enforcer came to "
			"warden.sock\"",
			(int)peer.pid, peer.uid);
		close(fd);
		return;
	}
	if (warden->enforcer_watch.fd >= 0) {
		close(fd); // one at a time
		return;
	}
	if (sg_loop_watch(warden->loop, &warden->enforcer_watch, fd, EPOLLIN, on_message) < 0) {
		close(fd);
		return;
	}
	warden->enforcer_pid = peer.pid;
	warden->enforcer_connected_ms = now_ms();
	sg_loop_disarm(&warden->respawn);
}

// Who else is in our cgroup is the enforcer of an earlier warden, and comes back by itself. Its
// listeners must be ours before new ones are made; and it has the ledger.
static bool adopt_enforcer(struct sg_warden *warden)
{
	pid_t pid;

	if (sg_cgroup_other_process(warden->service_cgroup_fd, getpid(), &pid) < 0)
		return false;
	if (sg_enforcer_wait(warden, ADOPT_MS) == 0)
		return true;
	sg_log(SG_LOG_WARN, "enforcer_stale",
		"pid=%d reason=\"it has not come back: another is started in its place\"",
		(int)pid);
	sg_spawn_stop(pid, STALE_MS);
	return false;
}

int sg_enforcer_start(struct sg_warden *warden, struct sg_error *error)
{
	char path[PATH_MAX];
	int fd, r;

	snprintf(path, sizeof(path), "%s/warden.sock", warden->run_directory);
	fd = sg_channel_listen(path, warden->enforcer_uid);
	if (fd < 0)
		return sg_error_set(error, fd, "%s: %s", path, strerror(-fd));
	warden->enforcer_listen_fd = fd;
	r = sg_loop_watch(warden->loop, &warden->enforcer_listen_watch, fd, EPOLLIN, on_connection);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	if (!adopt_enforcer(warden))
		on_respawn(&warden->respawn);
	return 0;
}

// Serves the enforcer's sockets outside the loop, while somebody waits.
static void serve_once(struct sg_warden *warden, int timeout_ms)
{
	struct pollfd waiting[2] = { { .fd = warden->enforcer_listen_fd, .events = POLLIN },
		{ .fd = warden->enforcer_watch.fd, .events = POLLIN } };

	if (poll(waiting, 2, timeout_ms) <= 0)
		return;
	if (waiting[0].revents)
		on_connection(&warden->enforcer_listen_watch, 0);
	if (waiting[1].revents && warden->enforcer_watch.fd >= 0)
		on_message(&warden->enforcer_watch, 0);
}

int sg_enforcer_wait(struct sg_warden *warden, int timeout_ms)
{
	int64_t deadline_ms = now_ms() + timeout_ms;

	// Timers do not run here: who waits does not sit out the backoff.
	if (warden->enforcer_watch.fd < 0 && warden->enforcer_pid == 0 && warden->respawn.link)
		on_respawn(&warden->respawn);
	while (!warden->enforcer_ready) {
		int64_t left_ms = deadline_ms - now_ms();
		int status;

		if (left_ms <= 0)
			return -ETIMEDOUT;
		serve_once(warden, left_ms > 200 ? 200 : (int)left_ms);
		// The loop's timers do not run here: an enforcer that ended at once is started
		// again by hand.
		if (warden->enforcer_watch.fd < 0 && warden->enforcer_pid > 0 &&
			waitpid(warden->enforcer_pid, &status, WNOHANG) == warden->enforcer_pid) {
			log_end(warden->enforcer_pid, status);
			warden->enforcer_pid = 0;
			return -ECHILD;
		}
	}
	return 0;
}

int sg_enforcer_ask(struct sg_warden *warden, enum sg_channel_type type, const int *fds,
	unsigned fd_count, struct sg_channel_message *ret_answer)
{
	int64_t deadline_ms = now_ms() + ASK_MS;
	int r = sg_enforcer_wait(warden, ASK_MS);

	if (r < 0)
		return r;
	if (!++warden->next_request)
		++warden->next_request;
	warden->awaited = warden->next_request;
	warden->answer = ret_answer;
	r = sg_enforcer_send(warden, type, warden->awaited, 0, NULL, 0, fds, fd_count);
	if (r == -EPIPE || r == -ECONNRESET)
		r = -ENOTCONN; // it has ended since it was last heard
	while (r == 0 && warden->awaited) {
		int64_t left_ms = deadline_ms - now_ms();

		if (left_ms <= 0)
			r = -ETIMEDOUT;
		else if (warden->enforcer_watch.fd < 0)
			r = -ENOTCONN;
		else
			serve_once(warden, (int)left_ms);
	}
	warden->answer = NULL;
	warden->awaited = 0;
	return r;
}

void sg_enforcer_stop(struct sg_warden *warden)
{
	warden->stopping = true;
	sg_loop_disarm(&warden->respawn);
	if (warden->enforcer_pid > 0)
		sg_spawn_stop(warden->enforcer_pid, STOP_MS);
	if (warden->enforcer_watch.fd >= 0)
		disconnect(warden);
	if (warden->enforcer_listen_fd >= 0) {
		sg_loop_unwatch(warden->loop, &warden->enforcer_listen_watch);
		close(warden->enforcer_listen_fd);
	}
	warden->enforcer_listen_fd = -1;
	free(warden->public_key);
	warden->public_key = NULL;
}
