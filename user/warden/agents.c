// SPDX-License-Identifier: Apache-2.0
// The table of agents. Each is also a file <run>/agents/ID.json, so that a warden that was
// restarted knows them again; the fence itself (links, maps) is in the kernel and needs neither.
#include "warden/warden.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/definition.h"
#include "warden/endpoints.h"
#include "warden/guards.h"
#include "warden/image.h"

#define REAP_MS	 200
#define GUARD_MS 1000 // the kernel does not tell of the end of a cgroup
#define ORPHAN_TURNS                                                                               \
	50 // of REAP_MS: the command line of an adopted agent may still come to release it
#define DEFINITION_LIMIT (4u << 20)

static void file_path(const struct sg_warden *warden, uint32_t id, char *out, size_t size)
{
	snprintf(out, size, "%s/agents/%u.json", warden->run_directory, id);
}

struct sg_warden_agent *sg_agents_find(const struct sg_warden *warden, uint32_t id)
{
	struct sg_warden_agent *agent = warden->agents;

	while (agent && agent->id != id)
		agent = agent->next;
	return agent;
}

static struct sg_warden_agent *free_agent(struct sg_warden_agent *agent)
{
	if (agent->events_fd >= 0)
		close(agent->events_fd);
	if (agent->cgroup_fd >= 0)
		close(agent->cgroup_fd);
	json_decref(agent->request);
	json_decref(agent->definition);
	json_decref(agent->next_definition);
	free(agent->cgroup_path);
	free(agent);
	return NULL;
}

const char *sg_agent_name(const struct sg_warden_agent *agent)
{
	return json_string_value(json_object_get(agent->definition, "name"));
}

int sg_agents_store(
	const struct sg_warden *warden, const struct sg_warden_agent *agent, struct sg_error *error)
{
	json_t *file = json_pack("{s:s, s:O, s:O*}", "cgroup", agent->cgroup_path, "definition",
		agent->definition, "request", agent->request);
	char *text = file ? json_dumps(file, JSON_COMPACT) : NULL;
	char path[PATH_MAX];
	int r = -ENOMEM;

	if (text) {
		file_path(warden, agent->id, path, sizeof(path));
		r = sg_fd_replace_file(
			path, text, strlen(text), 0600); // not for after a loss of power
	}
	free(text);
	json_decref(file);
	return r < 0 ? sg_error_set(error, r, "%s/agents: %s", warden->run_directory, strerror(-r))
		     : 0;
}

// ---- Removal ----

static void free_deferred(struct sg_deferred *deferred)
{
	free_agent((struct sg_warden_agent *)((char *)deferred -
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

static void remove_agent(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	struct sg_warden_agent **link = &warden->agents;
	char path[PATH_MAX];

	while (*link != agent)
		link = &(*link)->next;
	*link = agent->next;
	sg_redirect_detach_agent(warden->redirect, agent->id);
	sg_endpoints_drop(warden, agent->definition);
	stop_agent(warden, agent);
	file_path(warden, agent->id, path, sizeof(path));
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

static bool is_guard(const struct sg_warden_agent *agent)
{
	return json_is_true(json_object_get(agent->definition, "guard"));
}

// Is it to be removed? A guard waits for containers. An adopted agent may have lost its command
// line; an empty cgroup is then its only end.
static bool has_ended(struct sg_warden_agent *agent)
{
	enum sg_cgroup_state state = sg_cgroup_look(agent->events_fd);

	if (is_guard(agent))
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
	bool waiting = false, guards;

	for (agent = warden->agents; agent; agent = next) {
		next = agent->next;
		if (!agent->released && !agent->adopted)
			continue;
		if (has_ended(agent))
			remove_agent(warden, agent);
		else if (agent->watch.fd < 0)
			waiting = true;
	}
	guards = sg_guards_tend(warden);
	if (waiting || guards)
		sg_loop_arm(warden->loop, &warden->reap, waiting ? REAP_MS : GUARD_MS, on_reap);
	sg_control_stop_if_idle(warden);
}

static void on_cgroup_event(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	const struct sg_warden_agent *agent = (struct sg_warden_agent *)watch;

	on_reap(&agent->warden->reap);
}

// The kernel tells when the group empties. Where it can't be asked, the reaper looks.
static void watch_group(struct sg_warden *warden, struct sg_warden_agent *agent)
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
	watch_group(warden, agent);
	if (sg_cgroup_look(agent->events_fd) == SG_CGROUP_POPULATED &&
		!json_object_get(agent->definition, "container"))
		sg_log(SG_LOG_INFO, "agent_waits",
			"id=%u reason=\"processes are left in its cgroup: they stay fenced\"",
			agent->id);
	on_reap(&warden->reap);
}

void sg_agents_free_all(struct sg_warden *warden)
{
	struct sg_warden_agent *agent, *next;

	sg_loop_disarm(&warden->reap);
	for (agent = warden->agents; agent; agent = next) {
		next = agent->next;
		sg_loop_unwatch(warden->loop, &agent->watch);
		free_agent(agent);
	}
	warden->agents = NULL;
}

// ---- Registration ----

static bool is_same_file(int fd, const char *path)
{
	struct stat one, other;

	return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

// A group opened in another mount namespace has a path that means nothing here: it is then below
// our own mount of the hierarchy.
static char *path_of_fd(const struct sg_warden *warden, int fd)
{
	char path[PATH_MAX], below[2 * PATH_MAX];

	if (sg_fd_path(fd, path, sizeof(path)) < 0)
		return NULL;
	if (is_same_file(fd, path))
		return strdup(path);
	snprintf(below, sizeof(below), "%s%s", warden->cgroup_root, path);
	return strdup(is_same_file(fd, below) ? below : path);
}

static int start_agent(struct sg_warden *warden, struct sg_warden_agent *agent, int netns_fd,
	struct sg_error *error)
{
	struct sg_namespace *item;
	int r = sg_endpoints_add(warden, agent->definition, error);

	if (r < 0)
		return r;
	r = sg_namespaces_use(&warden->namespaces, netns_fd, &item, error);
	if (r < 0)
		return r;
	agent->netns_cookie = item->listener.netns_cookie;
	sg_enforcer_tell_listener(warden, item);
	return 0;
}

// Takes the definition, shares the request.
static struct sg_warden_agent *new_agent(
	struct sg_warden *warden, uint32_t id, int cgroup_fd, json_t *definition, json_t *request)
{
	struct sg_warden_agent *agent = calloc(1, sizeof(*agent));
	bool readable;

	if (!agent)
		return NULL;
	agent->id = id;
	agent->watch.fd = -1;
	agent->warden = warden;
	agent->events_fd = openat(cgroup_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	readable = agent->events_fd >= 0 || errno == ENOENT; // the group is gone
	agent->cgroup_fd = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 0);
	agent->cgroup_path = path_of_fd(warden, cgroup_fd);
	agent->definition = definition;
	agent->request = json_incref(request);
	if (!definition || agent->cgroup_fd < 0 || !agent->cgroup_path || !readable)
		return free_agent(agent);
	agent->next = warden->agents;
	warden->agents = agent;
	if (id >= warden->next_agent_id)
		warden->next_agent_id = id + 1;
	return agent;
}

static int attach_hooks(
	struct sg_warden *warden, const struct sg_warden_agent *agent, struct sg_error *error)
{
	return is_guard(agent) ? sg_redirect_attach_guard(
					 warden->redirect, agent->cgroup_fd, agent->id, error)
			       : sg_redirect_attach_agent(
					 warden->redirect, agent->cgroup_fd, agent->id, error);
}

// Two agents of one group would meter every call twice.
static struct sg_warden_agent *find_same_group(const struct sg_warden *warden, int cgroup_fd)
{
	struct sg_warden_agent *agent = warden->agents;
	uint64_t wanted, id;

	if (sg_cgroup_id(cgroup_fd, &wanted) < 0)
		return NULL;
	while (agent && (sg_cgroup_id(agent->cgroup_fd, &id) < 0 || id != wanted))
		agent = agent->next;
	return agent;
}

struct sg_warden_agent *sg_agents_find_container(
	const struct sg_warden *warden, const char *container)
{
	struct sg_warden_agent *agent = warden->agents;

	while (agent) {
		const char *own =
			json_string_value(json_object_get(agent->definition, "container"));

		if (own && strcmp(own, container) == 0)
			break;
		agent = agent->next;
	}
	return agent;
}

int sg_agents_detach(struct sg_warden *warden, const char *container, struct sg_error *error)
{
	struct sg_warden_agent *agent = sg_agents_find_container(warden, container);

	if (!agent)
		return sg_error_set(error, -ENOENT, "%.80s is no agent", container);
	remove_agent(warden, agent);
	return 0;
}

// Behind its fence. A guard makes no calls: nobody has to know it but the kernel.
static int finish_registration(struct sg_warden *warden, struct sg_warden_agent *agent,
	int netns_fd, struct sg_error *error)
{
	int r = is_guard(agent) ? 0 : start_agent(warden, agent, netns_fd, error);

	if (r == 0 && (!is_guard(agent) || warden->enforcer_ready)) // else when it is
		r = sg_enforcer_announce(warden, agent, error);
	return r < 0 ? r : sg_agents_store(warden, agent, error);
}

// The fence stays around what runs behind it, and goes with the last of that. What has nobody in
// it needs none, and a guard is tried again by who wants it.
static void keep_refused(struct sg_warden *warden, struct sg_warden_agent *agent)
{
	agent->released = agent->refused = true;
	if (is_guard(agent) || has_ended(agent)) {
		remove_agent(warden, agent);
		return;
	}
	stop_agent(warden, agent);
	watch_group(warden, agent);
	sg_loop_arm(warden->loop, &warden->reap, REAP_MS, on_reap);
	sg_log(SG_LOG_WARN, "agent_refused",
		"agent=%s id=%u cgroup=%s effect=\"it reaches nothing until it is attached again "
		"or "
		"detached\"",
		sg_agent_name(agent), agent->id, agent->cgroup_path);
}

// Takes the definition, shares the request.
static void ask_anew(struct sg_warden *warden, struct sg_warden_agent *agent, json_t *definition,
	json_t *request)
{
	json_t *before = agent->definition;

	agent->definition = definition;
	sg_endpoints_drop(warden, before);
	json_decref(before);
	json_decref(agent->request);
	agent->request = json_incref(request);
	agent->released = agent->refused = false;
	sg_loop_unwatch(warden->loop, &agent->watch);
}

// Fence first: whatever fails later leaves what runs in the cgroup refused, not open.
static int fence(struct sg_warden *warden, int cgroup_fd, json_t *definition, json_t *request,
	struct sg_warden_agent **ret_agent, struct sg_error *error)
{
	struct sg_warden_agent *agent =
		new_agent(warden, warden->next_agent_id, cgroup_fd, definition, request);
	int r;

	if (!agent) {
		sg_error_set(error, -ENOMEM, "out of memory or descriptors");
		return -ENOMEM;
	}
	r = attach_hooks(warden, agent, error);
	if (r < 0)
		remove_agent(warden, agent);
	*ret_agent = agent;
	return r;
}

// `agent`: one of the same group that was refused before, or NULL.
static int register_judged(struct sg_warden *warden, json_t *request, int cgroup_fd, int netns_fd,
	struct sg_warden_agent *agent, struct sg_warden_agent **ret_agent, struct sg_error *error)
{
	json_t *definition;
	int r;

	r = sg_definition_make(warden->config, request, agent ? agent->id : warden->next_agent_id,
		&definition, error);
	if (r < 0)
		return r;
	// A guard makes no calls: nobody has to know it but the kernel.
	r = json_is_true(json_object_get(request, "guard")) ? 0 : sg_enforcer_wait(warden, 10000);
	if (r < 0) {
		json_decref(definition);
		return sg_error_set(
			error, r, "the enforcer has not come up: see the log of spendgated");
	}
	if (agent)
		ask_anew(warden, agent, definition, request);
	else
		r = fence(warden, cgroup_fd, definition, request, &agent, error);
	if (r < 0)
		return r;
	r = finish_registration(warden, agent, netns_fd, error);
	if (r < 0) {
		keep_refused(warden, agent);
		return r;
	}
	sg_log(SG_LOG_INFO, "agent_registered", "agent=%s id=%u cgroup=%s", sg_agent_name(agent),
		agent->id, agent->cgroup_path);
	*ret_agent = agent;
	return 0;
}

int sg_agents_register(struct sg_warden *warden, const json_t *request, int cgroup_fd, int netns_fd,
	struct sg_warden_agent **ret_agent, struct sg_error *error)
{
	struct sg_warden_agent *agent = find_same_group(warden, cgroup_fd);
	json_t *judged = NULL;
	int r;

	if (agent && !agent->refused)
		return sg_error_set(error, -EEXIST, "it is agent %s already", sg_agent_name(agent));
	r = sg_image_apply(warden->config, request, &judged, error);
	if (r == 0)
		r = register_judged(warden, judged, cgroup_fd, netns_fd, agent, ret_agent, error);
	json_decref(judged);
	return r;
}

// ---- Adoption ----

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

static int adopt_file(struct sg_warden *warden, uint32_t id, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int cgroup_fd = -1, netns_fd = -1;
	struct sg_warden_agent *agent;
	char path[PATH_MAX], *text;
	json_t *file, *definition, *request;
	const char *cgroup;
	size_t length;
	int r;

	file_path(warden, id, path, sizeof(path));
	r = sg_fd_read_file(path, DEFINITION_LIMIT, &text, &length);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	file = json_loadb(text, length, 0, NULL);
	free(text);
	cgroup = json_string_value(json_object_get(file, "cgroup"));
	cgroup_fd = cgroup ? open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (cgroup_fd < 0 && cgroup && errno != ENOENT) {
		r = sg_error_set(error, -errno, "%s: %s", cgroup, strerror(errno));
		json_decref(file);
		return r;
	}
	if (cgroup_fd < 0) {
		// Its cgroup is gone, and with it everything that the pins could fence.
		json_decref(file);
		unlink(path);
		sg_trust_forget(warden, id);
		sg_redirect_detach_agent(warden->redirect, id);
		return 0;
	}
	definition = definition_of(warden, file, id, &request);
	agent = new_agent(warden, id, cgroup_fd, definition, request);
	json_decref(request);
	json_decref(file);
	if (!agent)
		return sg_error_set(error, -ENOMEM, "out of memory");
	agent->adopted = true;
	r = sg_redirect_is_set_aside(warden->redirect, id) ? attach_hooks(warden, agent, error) : 0;
	netns_fd = r < 0 || is_guard(agent) ? -1 : open_netns(agent);
	if (r == 0 && netns_fd >= 0)
		r = start_agent(warden, agent, netns_fd, error);
	if (r == 0 && warden->enforcer_ready) {
		r = sg_enforcer_announce(warden, agent, error);
		if (r == -ENOTCONN)
			r = 0; // it has ended: the next one is told, as if none were there
	}
	if (r == 0)
		sg_log(SG_LOG_INFO, "agent_adopted", "agent=%s id=%u cgroup=%s",
			sg_agent_name(agent), id, agent->cgroup_path);
	// Nobody comes to release a container.
	if (r == 0 && json_object_get(agent->definition, "container"))
		sg_agents_release_agent(warden, agent);
	return r;
}

static void detach_unknown(
	void *context, uint32_t agent_id, uint64_t cgroup_id SG_UNUSED, bool alive)
{
	struct sg_warden *warden = context;

	// Its file is lost: it stays fenced, and its id is never given to another.
	if (alive && agent_id >= warden->next_agent_id)
		warden->next_agent_id = agent_id + 1;
	if (!alive && !sg_agents_find(warden, agent_id))
		sg_redirect_detach_agent(warden->redirect, agent_id);
}

int sg_agents_adopt_all(struct sg_warden *warden, struct sg_error *error)
{
	char directory[PATH_MAX];
	struct dirent *entry;
	DIR *entries;
	int r;

	warden->next_agent_id = 1;
	snprintf(directory, sizeof(directory), "%s/agents", warden->run_directory);
	r = sg_fd_make_directories(directory, 0700);
	entries = r == 0 ? opendir(directory) : NULL;
	if (!entries)
		return sg_error_set(error, r < 0 ? r : -errno, "%s: %s", directory,
			strerror(r < 0 ? -r : errno));
	while (r == 0 && (entry = readdir(entries))) {
		uint32_t id = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (id && strstr(entry->d_name, ".json"))
			r = adopt_file(warden, id, error);
	}
	closedir(entries);
	if (r == 0)
		r = sg_redirect_each_agent(warden->redirect, detach_unknown, warden);
	if (r == 0 && warden->agents)
		sg_loop_arm(warden->loop, &warden->reap, REAP_MS, on_reap);
	return r;
}
