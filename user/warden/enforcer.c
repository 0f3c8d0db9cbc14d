// SPDX-License-Identifier: Apache-2.0
// The enforcer as the warden sees it: supervised by its connection, not as a child, so that it
// outlives the warden.
#include "warden/warden.h"

#include <errno.h>
#include <fcntl.h>
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

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/api.h"
#include "warden/files.h"
#include "warden/spawn.h"

#define ADOPT_MS       1000 // an enforcer that survived a warden's end has this long to come back
#define ASK_MS	       10000
#define MAX_BACKOFF_MS 10000
#define PROC_LIMIT     65536
#define PROVEN_MS      10000 // an enforcer that lived this long has started well

static struct sg_warden *from_respawn(struct sg_timer *timer)
{
	return (struct sg_warden *)((char *)timer - offsetof(struct sg_warden, respawn));
}

static void close_fds(struct sg_channel_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
}

// ---- Telling ----

void sg_enforcer_tell(struct sg_warden *warden, enum sg_channel_type type, const void *payload,
	size_t length, const int *fds, unsigned fd_count)
{
	int r;

	if (warden->enforcer_watch.fd < 0)
		return;
	r = sg_channel_send(warden->enforcer_watch.fd, type, 0, 0, payload, length, fds, fd_count);
	if (r < 0)
		sg_log(SG_LOG_WARN, "channel", "reason=\"%s\"", strerror(-r));
}

void sg_enforcer_tell_listener(struct sg_warden *warden, const struct sg_namespace *item)
{
	int fds[2];
	unsigned count = 0;

	for (int i = 0; i < 2; i++)
		if (item->fds[i] >= 0)
			fds[count++] = item->fds[i];
	sg_enforcer_tell(
		warden, SG_CHANNEL_LISTENER, &item->listener, sizeof(item->listener), fds, count);
}

static int config_memfd(const struct sg_warden *warden)
{
	char *text = json_dumps(warden->config, JSON_COMPACT);
	int fd = text ? sg_channel_memfd("spendgate-config", text, strlen(text)) : -ENOMEM;

	free(text);
	return fd;
}

static void tell_config(struct sg_warden *warden)
{
	SG_CLEANUP_CLOSE int fd = config_memfd(warden);

	if (fd >= 0)
		sg_enforcer_tell(warden, SG_CHANNEL_CONFIG, NULL, 0, &fd, 1);
}

static void tell_everything(struct sg_warden *warden)
{
	const uint8_t *der;
	size_t length;

	sg_ca_certificate(warden->ca, &der, &length);
	sg_enforcer_tell(warden, SG_CHANNEL_CA, der, length, NULL, 0);
	tell_config(warden);
	for (struct sg_namespace *item = warden->namespaces.first; item; item = item->next)
		if (item->users)
			sg_enforcer_tell_listener(warden, item);
	sg_api_sockets_tell(warden);
	sg_files_tell_all(warden->files); // before the agents, who start with them
	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		struct sg_error error;
		int fd = sg_agents_memfd(agent, &error);

		if (fd < 0) {
			sg_log(SG_LOG_ERROR, "agent_refused", "agent=%s reason=\"%s\"",
				sg_agent_name(agent), error.text);
			continue;
		}
		sg_enforcer_tell(warden, SG_CHANNEL_AGENT, NULL, 0, &fd, 1);
		close(fd);
	}
}

// ---- Being told ----

static void on_hello(struct sg_warden *warden, const struct sg_channel_message *message)
{
	struct sg_channel_hello hello;

	if (message->header.length <= sizeof(hello))
		return;
	memcpy(&hello, message->payload, sizeof(hello));
	if (hello.version != SG_CHANNEL_VERSION || hello.abi_version != SG_ABI_VERSION) {
		sg_log(SG_LOG_ERROR, "enforcer_version",
			"remedy=\"restart spendgated: the enforcer is of another version\"");
		return;
	}
	free(warden->public_key);
	warden->public_key_length = message->header.length - sizeof(hello);
	warden->public_key = malloc(warden->public_key_length);
	if (warden->public_key)
		memcpy(warden->public_key, message->payload + sizeof(hello),
			warden->public_key_length);
}

static void on_held(struct sg_warden *warden, struct sg_channel_message *message)
{
	struct sg_channel_listener listener;
	int fds[2] = { -1, -1 };
	unsigned next = 0;

	if (message->header.length != sizeof(listener))
		return;
	memcpy(&listener, message->payload, sizeof(listener));
	if (listener.port4 && next < message->fd_count)
		fds[0] = sg_fd_take(&message->fds[next++]);
	if (listener.port6 && next < message->fd_count)
		fds[1] = sg_fd_take(&message->fds[next++]);
	sg_namespaces_adopt(&warden->namespaces, &listener, fds);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void on_sign(struct sg_warden *warden, const struct sg_channel_message *message)
{
	uint8_t *der = NULL;
	size_t length = 0;
	int r = warden->public_key ? sg_ca_sign(warden->ca, message->payload, warden->public_key,
					     warden->public_key_length, &der, &length)
				   : -EPROTO;

	if (r < 0)
		sg_log(SG_LOG_WARN, "not_signed", "host=%s reason=\"%s\"", message->payload,
			strerror(-r));
	r = sg_channel_send(warden->enforcer_watch.fd, SG_CHANNEL_LEAF, message->header.id, r, der,
		length, NULL, 0);
	if (r < 0)
		sg_log(SG_LOG_WARN, "channel", "reason=\"%s\"", strerror(-r));
	OPENSSL_free(der);
}

static void on_socket(struct sg_warden *warden, const struct sg_channel_message *message)
{
	struct sg_channel_socket wanted = { 0 };
	int fd = -EPROTO, r;

	if (message->header.length == sizeof(wanted)) {
		memcpy(&wanted, message->payload, sizeof(wanted));
		fd = sg_namespaces_socket(
			&warden->namespaces, wanted.netns_cookie, (int)wanted.family);
	}
	r = sg_channel_send(warden->enforcer_watch.fd, SG_CHANNEL_SOCKET_MADE, message->header.id,
		fd < 0 ? fd : 0, NULL, 0, &fd, fd >= 0);
	if (r < 0)
		sg_log(SG_LOG_WARN, "channel", "reason=\"%s\"", strerror(-r));
	if (fd >= 0)
		close(fd);
}

static void on_counters(struct sg_warden *warden)
{
	json_t *counters = sg_control_counters(warden);
	char *text = counters ? json_dumps(counters, JSON_COMPACT) : NULL;
	int fd = text ? sg_channel_memfd("spendgate-counters", text, strlen(text)) : -ENOMEM;

	if (fd >= 0) {
		sg_enforcer_tell(warden, SG_CHANNEL_COUNTERS_RESULT, NULL, 0, &fd, 1);
		close(fd);
	}
	free(text);
	json_decref(counters);
}

static void on_answer(struct sg_warden *warden, struct sg_channel_message *message)
{
	if (!warden->answer || message->header.id != warden->awaited)
		return;
	*warden->answer = *message;
	message->fd_count = 0; // they are the asker's now
	warden->awaited = 0;
}

// A breaker tripped whose action this is. The operator thaws: cgroup.freeze of the same cgroup.
static void on_freeze(struct sg_warden *warden, const struct sg_channel_message *message)
{
	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		SG_CLEANUP_CLOSE int fd = -1;

		if (strcmp(sg_agent_name(agent), message->payload) != 0)
			continue;
		fd = openat(agent->cgroup_fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) != 1)
			sg_log(SG_LOG_ERROR, "not_frozen", "agent=%s reason=\"%s\"",
				message->payload, strerror(errno));
		else
			sg_log(SG_LOG_WARN, "frozen", "agent=%s cgroup=%s", message->payload,
				agent->cgroup_path);
	}
}

static void take_message(struct sg_warden *warden, struct sg_channel_message *message)
{
	switch ((enum sg_channel_type)message->header.type) {
	case SG_CHANNEL_HELLO:
		on_hello(warden, message);
		break;
	case SG_CHANNEL_HELD:
		on_held(warden, message);
		break;
	case SG_CHANNEL_READY:
		tell_everything(warden);
		warden->enforcer_ready = true;
		sg_log(SG_LOG_INFO, "enforcer_ready", "pid=%d", (int)warden->enforcer_pid);
		break;
	case SG_CHANNEL_SIGN:
		on_sign(warden, message);
		break;
	case SG_CHANNEL_SOCKET:
		on_socket(warden, message);
		break;
	case SG_CHANNEL_FREEZE:
		on_freeze(warden, message);
		break;
	case SG_CHANNEL_COUNTERS:
		on_counters(warden);
		break;
	case SG_CHANNEL_AGENT_RESULT:
	case SG_CHANNEL_STATUS_RESULT:
	case SG_CHANNEL_CONFIG_RESULT:
	case SG_CHANNEL_BUDGET_RESULT:
		on_answer(warden, message);
		break;
	default:
		sg_log(SG_LOG_WARN, "channel", "reason=\"unexpected message %u\"",
			message->header.type);
		break;
	}
	close_fds(message);
}

// ---- The connection ----

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

	while (watch->fd >= 0 && (r = sg_channel_receive(watch->fd, &message)) > 0)
		take_message(warden, &message);
	if (watch->fd >= 0 && r != -EAGAIN)
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
	sg_spawn_stop(pid);
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
	r = sg_channel_send(
		warden->enforcer_watch.fd, type, warden->awaited, 0, NULL, 0, fds, fd_count);
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

int sg_enforcer_configure(struct sg_warden *warden, struct sg_channel_message *ret_answer)
{
	SG_CLEANUP_CLOSE int fd = config_memfd(warden);

	return fd < 0 ? fd : sg_enforcer_ask(warden, SG_CHANNEL_CONFIG, &fd, 1, ret_answer);
}

void sg_enforcer_stop(struct sg_warden *warden)
{
	warden->stopping = true;
	sg_loop_disarm(&warden->respawn);
	if (warden->enforcer_pid > 0)
		sg_spawn_stop(warden->enforcer_pid);
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
