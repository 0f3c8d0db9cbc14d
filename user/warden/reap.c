// SPDX-License-Identifier: Apache-2.0
// How agents end: when nothing runs in their cgroup any more, or by a word; and those whose
// registration failed.
#include "warden/agents_state.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/endpoints.h"
#include "warden/guards.h"

#define REAP_MS 200
// The kernel does not tell of the end of a cgroup; and not that it emptied, where its end came
// within the 10 ms for which it puts such news off.
#define WATCHED_MS   1000
#define ORPHAN_TURNS 50 // of REAP_MS: the command line of an adopted one may still release it

static void free_deferred(struct sg_deferred *deferred)
{
	sg_agent_free((struct sg_warden_agent *)((char *)deferred -
						 offsetof(struct sg_warden_agent, deferred)));
}

// The enforcer knows it no more.
static void stop_agent(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	struct sg_channel_agent gone = { .agent_id = agent->id };
	struct sg_channel_listener listener = { .netns_cookie = agent->netns_cookie };
	bool namespace_gone = false;

	sg_enforcer_tell(warden, SG_CHANNEL_AGENT_GONE, &gone, sizeof(gone), NULL, 0);
	if (agent->netns_cookie)
		sg_namespaces_release(&warden->namespaces, agent->netns_cookie, &namespace_gone);
	agent->netns_cookie = 0;
	if (namespace_gone)
		sg_enforcer_tell(
			warden, SG_CHANNEL_LISTENER_GONE, &listener, sizeof(listener), NULL, 0);
}

void sg_agent_remove(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	struct sg_warden_agent **link = &warden->agents;
	char path[PATH_MAX];

	while (*link != agent)
		link = &(*link)->next;
	*link = agent->next;
	sg_redirect_detach_agent(warden->redirect, agent->id);
	sg_endpoints_drop(warden, agent->definition);
	stop_agent(warden, agent);
	sg_agent_file(warden, agent->id, path, sizeof(path));
	unlink(path);
	sg_trust_forget(warden, agent->id);
	// An engine removes the groups of its containers itself.
	if (!json_object_get(agent->definition, "container") && rmdir(agent->cgroup_path) < 0 &&
		errno != ENOENT)
		sg_log(SG_LOG_DEBUG, "cgroup", "path=%s reason=\"%s\"", agent->cgroup_path,
			strerror(errno));
	sg_log(SG_LOG_INFO, "agent_removed", "agent=%s id=%u", sg_agent_name(agent), agent->id);
	sg_loop_unwatch(warden->loop, &agent->watch);
	sg_loop_defer(warden->loop, &agent->deferred, free_deferred);
}

// Is it to be removed? A guard waits for containers. An adopted agent may have lost its command
// line; an empty cgroup is then its only end.
static bool has_ended(struct sg_warden_agent *agent)
{
	enum sg_cgroup_state state = sg_cgroup_look(agent->events_fd);

	if (sg_agent_is_guard(agent))
		return state == SG_CGROUP_GONE;
	if (state == SG_CGROUP_POPULATED) {
		agent->empty_turns = 0;
		return false;
	}
	return agent->released || ++agent->empty_turns > ORPHAN_TURNS;
}

static void on_reap(struct sg_timer *timer)
{
	struct sg_warden *warden =
		(struct sg_warden *)((char *)timer - offsetof(struct sg_warden, reap));
	struct sg_warden_agent *agent, *next;
	bool waiting = false, watched = false;

	for (agent = warden->agents; agent; agent = next) {
		next = agent->next;
		if (!agent->released && !agent->adopted)
			continue;
		if (has_ended(agent))
			sg_agent_remove(warden, agent);
		else if (agent->watch.fd < 0)
			waiting = true;
		else
			watched = true;
	}
	watched |= sg_guards_tend(warden);
	if (waiting || watched)
		sg_loop_arm(warden->loop, &warden->reap, waiting ? REAP_MS : WATCHED_MS, on_reap);
	sg_control_stop_if_idle(warden);
}

void sg_agents_reap(struct sg_warden *warden)
{
	sg_loop_arm(warden->loop, &warden->reap, REAP_MS, on_reap);
}

static void on_cgroup_event(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	const struct sg_warden_agent *agent = (struct sg_warden_agent *)watch;

	on_reap(&agent->warden->reap);
}

// The kernel tells when the group empties; the reaper looks all the same, often where it can't be
// asked.
void sg_agent_await_end(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	agent->released = true;
	if (agent->watch.fd < 0 && agent->events_fd >= 0 &&
		sg_loop_watch(warden->loop, &agent->watch, agent->events_fd, EPOLLPRI | EPOLLET,
			on_cgroup_event) < 0)
		sg_log(SG_LOG_DEBUG, "cgroup", "id=%u reason=\"no events of its cgroup\"",
			agent->id);
}

void sg_agents_release_agent(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	sg_agent_await_end(warden, agent);
	if (sg_cgroup_look(agent->events_fd) == SG_CGROUP_POPULATED &&
		!json_object_get(agent->definition, "container"))
		sg_log(SG_LOG_INFO, "agent_waits",
			"id=%u reason=\"processes are left in its cgroup: they stay fenced\"",
			agent->id);
	on_reap(&warden->reap);
}

void sg_agent_keep_refused(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	bool known = agent->refused;

	agent->released = agent->refused = true;
	if ((sg_agent_is_guard(agent) && !agent->adopted) || has_ended(agent)) {
		sg_agent_remove(warden, agent);
		return;
	}
	stop_agent(warden, agent);
	sg_agent_await_end(warden, agent);
	sg_agents_reap(warden);
	if (known)
		return;
	sg_log(SG_LOG_WARN, "agent_refused",
		"agent=%s id=%u cgroup=%s effect=\"it reaches nothing until it is attached again "
		"or detached\"",
		sg_agent_name(agent), agent->id, agent->cgroup_path);
}
