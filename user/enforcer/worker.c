// SPDX-License-Identifier: Apache-2.0
#include "enforcer/worker.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/pending.h"
#include "enforcer/post.h"
#include "enforcer/reconfigure.h"
#include "enforcer/record.h"
#include "enforcer/stop.h"
#include "enforcer/upstream.h"
#include "enforcer/waiting.h"
#include "enforcer/webhook.h"

#define ACCEPTS_PER_EVENT 16
#define SWEEP_MS	  60000

struct sg_worker_listener {
	struct sg_watch watch; // first
	struct sg_worker *worker;
	uint64_t netns_cookie;
	struct sg_worker_listener *next;
	struct sg_deferred deferred;
};

// ---- Listeners ----

static void on_connection(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_worker_listener *listener = (struct sg_worker_listener *)watch;

	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			sg_client_accept(listener->worker, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			sg_log(SG_LOG_ERROR, "accept_failed",
				"reason=\"%s\" remedy=\"raise LimitNOFILE\"", strerror(errno));
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void add_listener(struct sg_worker *worker, uint64_t netns_cookie, int fd)
{
	struct sg_worker_listener *listener = calloc(1, sizeof(*listener));
	int r = -ENOMEM;

	if (listener) {
		listener->worker = worker;
		listener->netns_cookie = netns_cookie;
		r = sg_loop_watch(worker->loop, &listener->watch, fd, EPOLLIN | EPOLLEXCLUSIVE,
			on_connection);
	}
	if (r < 0) {
		sg_log(SG_LOG_ERROR, "listener_failed", "worker=%u reason=\"%s\"", worker->index,
			strerror(-r));
		free(listener);
		close(fd);
		return;
	}
	listener->next = worker->listeners;
	worker->listeners = listener;
}

static void free_listener(struct sg_deferred *deferred)
{
	free((char *)deferred - offsetof(struct sg_worker_listener, deferred));
}

static void remove_listeners(struct sg_worker *worker, uint64_t netns_cookie, bool all)
{
	struct sg_worker_listener **link = &worker->listeners, *listener;

	while ((listener = *link)) {
		int fd = listener->watch.fd;

		if (!all && listener->netns_cookie != netns_cookie) {
			link = &listener->next;
			continue;
		}
		*link = listener->next;
		sg_loop_unwatch(worker->loop, &listener->watch);
		close(fd);
		sg_loop_defer(worker->loop, &listener->deferred, free_listener);
	}
}

// ---- Mail ----

static void tell_leaf_waiters(struct sg_worker *worker, const char *host)
{
	struct sg_client *client, *next;

	for (client = worker->clients; client; client = next) {
		next = client->next;
		if (client->state == SG_CLIENT_LEAF && strcmp(client->host, host) == 0)
			sg_client_on_leaf(client);
	}
}

// ---- The end ----

// Is a provider answering it? A call that has not got that far costs nothing, and is made again.
static bool is_under_way(const struct sg_client *client)
{
	const struct sg_exchange *exchange = client->exchanges;

	while (exchange && (exchange->agent_gone || !exchange->upstream ||
				   !sg_upstream_is_ready(exchange->upstream)))
		exchange = exchange->next;
	return exchange || (client->state == SG_CLIENT_SESSION && sg_buf_length(&client->out));
}

static void on_stop_look(struct sg_timer *timer)
{
	struct sg_worker *worker =
		(struct sg_worker *)((char *)timer - offsetof(struct sg_worker, stop));
	struct sg_client *client, *next;
	bool under_way = false;

	for (client = worker->clients; client; client = next) {
		next = client->next;
		if (is_under_way(client))
			under_way = true;
		else
			sg_client_close(client, "stop");
	}
	if (under_way && sg_loop_now_ms(worker->loop) < worker->stop_ms)
		sg_loop_arm(worker->loop, &worker->stop, SG_STOP_LOOK_MS, on_stop_look);
	else
		sg_loop_stop(worker->loop);
}

// New connections wait for the next enforcer, unless the warden ends too and has shut the
// listeners.
static void begin_stop(struct sg_worker *worker)
{
	remove_listeners(worker, 0, true);
	worker->stop_ms = sg_loop_now_ms(worker->loop) + SG_STOP_MS;
	on_stop_look(&worker->stop);
}

// ---- The mailbox ----

static void take_mail(struct sg_worker *worker, const struct sg_mail *mail)
{
	switch (mail->kind) {
	case SG_MAIL_LISTENER:
		remove_listeners(worker, mail->netns_cookie, false);
		for (int i = 0; i < 2; i++)
			if (mail->fds[i] >= 0)
				add_listener(worker, mail->netns_cookie, mail->fds[i]);
		break;
	case SG_MAIL_LISTENER_GONE:
		remove_listeners(worker, mail->netns_cookie, false);
		sg_pool_close_idle_of(&worker->pool, mail->netns_cookie);
		break;
	case SG_MAIL_LEAF:
		tell_leaf_waiters(worker, mail->host);
		break;
	case SG_MAIL_SOCKET:
		sg_upstream_on_socket(worker, mail->id, mail->result, mail->fds[0]);
		break;
	case SG_MAIL_PRICES:
		sg_retired_pass(mail->retired);
		break;
	case SG_MAIL_CUT:
		sg_stop_connections(worker, mail->id);
		break;
	case SG_MAIL_SETTLE:
		sg_pending_end(worker, mail->end);
		break;
	case SG_MAIL_ROOM:
		sg_waiting_on_room(worker);
		break;
	case SG_MAIL_WEBHOOK:
		sg_webhook_on_mail(worker->enforcer->webhook);
		break;
	case SG_MAIL_STOP:
		begin_stop(worker);
		break;
	}
}

static void on_mail(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_worker *worker =
		(struct sg_worker *)((char *)watch - offsetof(struct sg_worker, mail_watch));
	struct sg_mail *mail, *next;
	uint64_t count;

	if (read(watch->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		sg_log(SG_LOG_ERROR, "mailbox", "worker=%u reason=\"%s\"", worker->index,
			strerror(errno));
	pthread_mutex_lock(&worker->mail_lock);
	mail = worker->mail_first;
	worker->mail_first = NULL;
	worker->mail_last = &worker->mail_first;
	pthread_mutex_unlock(&worker->mail_lock);
	for (; mail; mail = next) {
		next = mail->next;
		take_mail(worker, mail);
		free(mail);
	}
}

int sg_worker_post(struct sg_worker *worker, const struct sg_mail *mail)
{
	struct sg_mail *copy = malloc(sizeof(*copy));
	uint64_t one = 1;

	if (!copy)
		return -ENOMEM;
	*copy = *mail;
	copy->next = NULL;
	pthread_mutex_lock(&worker->mail_lock);
	*worker->mail_last = copy;
	worker->mail_last = &copy->next;
	pthread_mutex_unlock(&worker->mail_lock);
	if (write(worker->mail_watch.fd, &one, sizeof(one)) < 0)
		sg_log(SG_LOG_ERROR, "mailbox", "worker=%u reason=\"%s\"", worker->index,
			strerror(errno));
	return 0;
}

void sg_worker_post_all(struct sg_enforcer *enforcer, const struct sg_mail *mail)
{
	for (unsigned i = 0; i < enforcer->worker_count; i++)
		if (sg_worker_post(enforcer->workers[i], mail) < 0)
			sg_log(SG_LOG_ERROR, "mailbox", "worker=%u reason=\"out of memory\"", i);
}

// ---- Lifecycle ----

static void on_sweep(struct sg_timer *timer)
{
	struct sg_worker *worker =
		(struct sg_worker *)((char *)timer - offsetof(struct sg_worker, sweep));

	sg_pool_sweep(&worker->pool, sg_loop_now_ms(worker->loop));
	sg_pending_sweep(worker, sg_loop_now_ms(worker->loop));
	if (worker->index == 0)
		sg_record_untold(worker->enforcer);
	sg_loop_arm(worker->loop, &worker->sweep, SWEEP_MS, on_sweep);
}

static void *run(void *context)
{
	struct sg_worker *worker = context;
	int r = sg_loop_run(worker->loop);

	if (r < 0)
		sg_log(SG_LOG_ERROR, "worker_failed", "worker=%u reason=\"%s\"", worker->index,
			strerror(-r));
	return NULL;
}

static struct sg_worker *free_worker(struct sg_worker *worker)
{
	if (worker->mail_watch.fd >= 0)
		close(worker->mail_watch.fd);
	sg_loop_free(worker->loop);
	sg_pool_done(&worker->pool);
	sg_buf_release(&worker->filtered);
	pthread_mutex_destroy(&worker->mail_lock);
	free(worker->spare_exchange);
	free(worker->scratch);
	free(worker);
	return NULL;
}

static int prepare(struct sg_worker *worker)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = sg_loop_new(&worker->loop);
	if (r == 0)
		r = sg_loop_watch(worker->loop, &worker->mail_watch, fd, EPOLLIN, on_mail);
	if (r < 0) {
		close(fd);
		return r;
	}
	worker->scratch = malloc(SG_SCRATCH_BYTES);
	if (!worker->scratch)
		return -ENOMEM;
	sg_loop_arm(worker->loop, &worker->sweep, SWEEP_MS, on_sweep);
	return -pthread_create(&worker->thread, NULL, run, worker);
}

int sg_worker_start(struct sg_enforcer *enforcer, unsigned index, struct sg_worker **ret_worker)
{
	struct sg_worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->enforcer = enforcer;
	worker->index = index;
	worker->mail_watch.fd = -1;
	worker->mail_last = &worker->mail_first;
	pthread_mutex_init(&worker->mail_lock, NULL);
	r = prepare(worker);
	if (r < 0) {
		free_worker(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

void sg_worker_end(struct sg_worker *worker)
{
	const struct sg_mail stop = { .kind = SG_MAIL_STOP, .fds = { -1, -1 } };

	// Out of memory at exit: the process is ended, the journal keeps the holds.
	if (worker && sg_worker_post(worker, &stop) < 0)
		sg_log(SG_LOG_ERROR, "mailbox", "worker=%u reason=\"out of memory\"",
			worker->index);
}

struct sg_worker *sg_worker_stop(struct sg_worker *worker)
{
	if (!worker)
		return NULL;
	pthread_join(worker->thread, NULL);
	while (worker->clients)
		sg_client_close(worker->clients, "stop");
	sg_post_cancel_all(worker);
	sg_pool_close_idle(&worker->pool);
	remove_listeners(worker, 0, true);
	sg_loop_run_deferred(worker->loop);
	return free_worker(worker);
}
