// SPDX-License-Identifier: Apache-2.0
// Agents of an earlier warden, by their files <run>/agents/ID.json and their pins.
#include "warden/agents_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "redirect/sockets.h"
#include "warden/definition.h"
#include "warden/image.h"

#define DEFINITION_LIMIT (4u << 20)
#define AGAIN_MS	 2000

// The namespace of an agent is that of its processes.
static int open_netns(const struct sg_warden_agent *agent)
{
	char path[64];
	int netns_fd;
	pid_t pid;

	if (sg_cgroup_any_process(agent->cgroup_fd, &pid) < 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	return netns_fd < 0 ? -errno : netns_fd;
}

// By the configuration of now; where it refuses, as it was. *ret_request is a new reference, or
// NULL: there is none, or an earlier version stored it with an image that is refused now.
static json_t *definition_of(
	const struct sg_warden *warden, const json_t *file, uint32_t id, json_t **ret_request)
{
	const json_t *request = json_object_get(file, "request");
	struct sg_error error = { "" };
	json_t *definition;
	int r;

	*ret_request = NULL;
	if (!request)
		return json_incref(json_object_get(file, "definition"));
	r = sg_image_apply(warden->config, request, ret_request, &error);
	if (r == 0)
		r = sg_definition_make(warden->config, *ret_request, id, &definition, &error);
	if (r == 0)
		return definition;
	sg_log(SG_LOG_WARN, "agent_unchanged", "id=%u reason=\"%s\" effect=\"it stays as it was\"",
		id, error.text);
	return json_incref(json_object_get(file, "definition"));
}

static int read_file(
	const struct sg_warden *warden, uint32_t id, json_t **ret_file, struct sg_error *error)
{
	char path[PATH_MAX], *text;
	size_t length;
	int r;

	sg_agent_file(warden, id, path, sizeof(path));
	r = sg_fd_read_file(path, DEFINITION_LIMIT, &text, &length);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	*ret_file = json_loadb(text, length, 0, NULL);
	free(text);
	return 0;
}

static void tell_gone(struct sg_warden *warden, uint32_t id)
{
	struct sg_channel_agent gone = { .agent_id = id };

	sg_enforcer_tell(warden, SG_CHANNEL_AGENT_GONE, &gone, sizeof(gone), NULL, 0);
}

// Its cgroup is gone, and with it everything that the pins could fence. An enforcer that stayed
// knows it still.
static void forget(struct sg_warden *warden, uint32_t id)
{
	char path[PATH_MAX];

	sg_agent_file(warden, id, path, sizeof(path));
	unlink(path);
	sg_trust_forget(warden, id);
	sg_redirect_detach_agent(warden->redirect, id);
	tell_gone(warden, id);
}

// ---- One of them ----

// Of a cgroup that was removed and made anew: what runs there has connected around the new fence.
// (A guard ends no connections of those that are no agents.)
static void end_connections(const struct sg_warden_agent *agent)
{
	SG_CLEANUP_CLOSE int netns_fd = sg_agent_is_guard(agent) ? -1 : open_netns(agent);
	struct sg_sockets_result sockets = { 0, 0 };
	struct sg_error error = { "" };
	int r = netns_fd < 0 ? 0
			     : sg_sockets_end(agent->cgroup_fd, netns_fd, SG_SOCKETS_UNWATCHED,
				       &sockets, &error);

	sg_log(SG_LOG_WARN, "agent_fenced_anew",
		"agent=%s id=%u cgroup=%s reason=\"the cgroup was made anew while spendgated was "
		"away\" connections=%u%s%s%s",
		sg_agent_name(agent), agent->id, agent->cgroup_path, sockets.ended,
		r < 0 ? " remedy=\"restart what runs in it: " : "", error.text, r < 0 ? "\"" : "");
}

int sg_agent_fence_again(
	struct sg_warden *warden, const struct sg_warden_agent *agent, struct sg_error *error)
{
	bool made_anew = !sg_redirect_fences(warden->redirect, agent->id, agent->cgroup_fd);
	bool is_cut = made_anew && sg_redirect_is_cut(warden->redirect, agent->id);
	int r;

	if (!made_anew && !sg_redirect_is_set_aside(warden->redirect, agent->id))
		return 0;
	if (made_anew)
		sg_redirect_detach_agent(warden->redirect, agent->id);
	r = sg_agent_attach(warden, agent, error);
	if (r == 0 && is_cut)
		r = sg_redirect_cut_agent(warden->redirect, agent->cgroup_fd, agent->id, error);
	if (r == 0 && made_anew)
		end_connections(agent);
	return r;
}

// An enforcer that did not answer once is not asked again in this turn: agents without end would
// each have the warden wait.
static int introduce(struct sg_warden *warden, const struct sg_warden_agent *agent,
	const struct sg_namespace *namespace, bool *mute, struct sg_error *error)
{
	int r;

	if (!warden->enforcer_ready)
		return 0; // when it is
	if (*mute)
		return sg_error_set(error, -ETIMEDOUT, "the enforcer does not answer");
	r = sg_agent_introduce(warden, agent, namespace, error);
	*mute = r == -ETIMEDOUT;
	return r == -ENOTCONN ? 0 : r; // it has ended: the next one is told, as if none were there
}

static int go_on(
	struct sg_warden *warden, struct sg_warden_agent *agent, bool *mute, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int netns_fd = -1;
	struct sg_namespace *namespace = NULL;
	int r = sg_agent_fence_again(warden, agent, error);

	if (r == 0 && !sg_agent_is_guard(agent))
		netns_fd = open_netns(agent);
	if (r == 0 && netns_fd >= 0)
		r = sg_agent_start(warden, agent, netns_fd, &namespace, error);
	if (r == 0)
		r = introduce(warden, agent, namespace, mute, error);
	if (r < 0)
		return r;
	sg_log(SG_LOG_INFO, "agent_adopted", "agent=%s id=%u cgroup=%s", sg_agent_name(agent),
		agent->id, agent->cgroup_path);
	// Nobody comes to release a container.
	if (json_object_get(agent->definition, "container"))
		sg_agent_await_end(warden, agent);
	sg_agents_reap(warden);
	return 0;
}

static void tell_refused(uint32_t id, const struct sg_error *error)
{
	sg_log(SG_LOG_ERROR, "agent_not_adopted",
		"id=%u reason=\"%s\" effect=\"it stays fenced, and reaches nothing\"", id,
		error->text);
}

// What one of them lacks keeps nobody else from his agent.
static void adopt_agent(struct sg_warden *warden, struct sg_warden_agent *agent, bool *mute)
{
	struct sg_error error = { "" };

	agent->adopted = true;
	if (go_on(warden, agent, mute, &error) == 0)
		return;
	tell_refused(agent->id, &error);
	sg_agent_keep_refused(warden, agent);
}

static int adopt_group(struct sg_warden *warden, uint32_t id, const json_t *file, int cgroup_fd,
	bool *mute, struct sg_error *error)
{
	json_t *request, *definition = definition_of(warden, file, id, &request);
	struct sg_warden_agent *agent = sg_agent_new(warden, id, cgroup_fd, definition, request);

	json_decref(request);
	if (!agent)
		return sg_error_set(error, -ENOMEM, "out of memory or descriptors");
	adopt_agent(warden, agent, mute);
	return 0;
}

static int adopt_file(struct sg_warden *warden, uint32_t id, bool *mute, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int cgroup_fd = -1;
	json_t *file = NULL;
	const char *cgroup;
	int r = read_file(warden, id, &file, error);

	if (r < 0)
		return r;
	cgroup = json_string_value(json_object_get(file, "cgroup"));
	cgroup_fd = cgroup ? open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (cgroup_fd >= 0)
		r = adopt_group(warden, id, file, cgroup_fd, mute, error);
	else if (!cgroup)
		sg_log(SG_LOG_ERROR, "agent_unknown",
			"id=%u reason=\"its file can't be understood\" effect=\"it stays fenced, "
			"and reaches nothing\"",
			id);
	else if (errno == ENOENT)
		forget(warden, id);
	else
		r = sg_error_set(error, -errno, "%s: %s", cgroup, strerror(errno));
	json_decref(file);
	return r;
}

// ---- Again and again ----

// Refused, or nobody was in it yet who could tell its network namespace.
static bool is_unsettled(const struct sg_warden_agent *agent)
{
	return agent->adopted &&
	       (agent->refused || (!agent->netns_cookie && !sg_agent_is_guard(agent)));
}

static void try_again(struct sg_warden *warden, struct sg_warden_agent *agent, bool *mute)
{
	struct sg_error error = { "" };
	pid_t pid;

	if (!agent->refused && sg_cgroup_any_process(agent->cgroup_fd, &pid) < 0)
		return; // nobody yet
	if (agent->refused) {
		agent->released = false; // as it was; go_on() releases what nobody else does
		sg_loop_unwatch(warden->loop, &agent->watch);
	}
	if (go_on(warden, agent, mute, &error) == 0)
		agent->refused = false;
	else
		sg_agent_keep_refused(warden, agent);
}

static void tell_listener_gone(void *context, const struct sg_channel_listener *listener)
{
	sg_enforcer_tell(context, SG_CHANNEL_LISTENER_GONE, listener, sizeof(*listener), NULL, 0);
}

static void on_again(struct sg_timer *timer);

// What ended while no warden was there has left its listeners: which of them is only known when
// everybody who may use one is.
static void settle(struct sg_warden *warden)
{
	bool waiting = false, unknown = false;

	for (const struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		waiting = waiting || is_unsettled(agent);
		unknown = unknown || (is_unsettled(agent) && !agent->refused);
	}
	if (!unknown)
		sg_namespaces_forget_unused(&warden->namespaces, tell_listener_gone, warden);
	if (waiting)
		sg_loop_arm(warden->loop, &warden->again, AGAIN_MS, on_again);
}

static void on_again(struct sg_timer *timer)
{
	struct sg_warden *warden =
		(struct sg_warden *)((char *)timer - offsetof(struct sg_warden, again));
	struct sg_warden_agent *agent, *next;
	bool mute = false;

	for (agent = warden->agents; agent; agent = next) {
		next = agent->next;
		if (is_unsettled(agent))
			try_again(warden, agent, &mute);
	}
	settle(warden);
}

// ---- All of them ----

static void detach_unknown(
	void *context, uint32_t agent_id, uint64_t cgroup_id SG_UNUSED, bool alive)
{
	struct sg_warden *warden = context;

	// Its file is lost: it stays fenced, and its id is never given to another.
	if (alive && agent_id >= warden->next_agent_id)
		warden->next_agent_id = agent_id + 1;
	if (alive || sg_agents_find(warden, agent_id))
		return;
	sg_redirect_detach_agent(warden->redirect, agent_id);
	tell_gone(warden, agent_id);
}

// Of ID.json. Others are not agents.
static uint32_t id_of(const char *name)
{
	uint32_t id = (uint32_t)strtoul(name, NULL, 10);
	char exact[32];

	snprintf(exact, sizeof(exact), "%u.json", id);
	return strcmp(name, exact) == 0 ? id : 0;
}

static void adopt_files(struct sg_warden *warden, DIR *entries)
{
	struct dirent *entry;
	bool mute = false;

	while ((entry = readdir(entries))) {
		uint32_t id = id_of(entry->d_name);
		struct sg_error error = { "" };

		if (id && adopt_file(warden, id, &mute, &error) < 0)
			tell_refused(id, &error);
		// A warden was killed while it wrote.
		if (strstr(entry->d_name, ".json."))
			unlinkat(dirfd(entries), entry->d_name, 0);
	}
}

int sg_agents_adopt_all(struct sg_warden *warden, struct sg_error *error)
{
	char directory[PATH_MAX];
	DIR *entries;
	int r;

	warden->next_agent_id = 1;
	snprintf(directory, sizeof(directory), "%s/agents", warden->run_directory);
	r = sg_fd_make_directories(directory, 0700);
	entries = r == 0 ? opendir(directory) : NULL;
	if (!entries)
		return sg_error_set(error, r < 0 ? r : -errno, "%s: %s", directory,
			strerror(r < 0 ? -r : errno));
	adopt_files(warden, entries);
	closedir(entries);
	r = sg_redirect_each_agent(warden->redirect, detach_unknown, warden);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", warden->pin_directory, strerror(-r));
	warden->is_settled = true;
	settle(warden);
	return 0;
}
