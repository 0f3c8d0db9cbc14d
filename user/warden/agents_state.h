// SPDX-License-Identifier: Apache-2.0
// What agents.c, adopt.c and reap.c share. One thread.
#pragma once

#include "warden/warden.h"

// ---- agents.c ----

// <run>/agents/ID.json.
void sg_agent_file(const struct sg_warden *warden, uint32_t id, char *out, size_t size);

// Puts one into the table. Takes the definition (NULL: out of memory, too), shares the request.
// NULL: out of memory or descriptors.
struct sg_warden_agent *sg_agent_new(struct sg_warden *warden, uint32_t id, int cgroup_fd,
	json_t *definition, json_t *request) SG_WUNRES;

// Of one that is in no table. Returns NULL.
struct sg_warden_agent *sg_agent_free(struct sg_warden_agent *agent);

bool sg_agent_is_guard(const struct sg_warden_agent *agent);

// Its fence.
int sg_agent_attach(struct sg_warden *warden, const struct sg_warden_agent *agent,
	struct sg_error *error) SG_WUNRES;

// Its endpoints, and a listener in its network namespace.
int sg_agent_start(struct sg_warden *warden, struct sg_warden_agent *agent, int netns_fd,
	struct sg_namespace **ret_namespace, struct sg_error *error) SG_WUNRES;

// Tells the enforcer of it, and then of the listener (NULL: none): it closes the connections of
// agents that it does not know.
int sg_agent_introduce(struct sg_warden *warden, const struct sg_warden_agent *agent,
	const struct sg_namespace *namespace, struct sg_error *error) SG_WUNRES;

// ---- adopt.c ----

// Sees to it that an adopted agent's fence is of this layout, and around the cgroup of now.
int sg_agent_fence_again(struct sg_warden *warden, const struct sg_warden_agent *agent,
	struct sg_error *error) SG_WUNRES;

// ---- reap.c ----

// Out of the table, its fence with it.
void sg_agent_remove(struct sg_warden *warden, struct sg_warden_agent *agent);

// Its registration failed, or its adoption. The fence stays around what runs behind it, and goes
// with the last of that. What has nobody in it needs none, and a guard that is new is tried again
// by who wants it: these are removed.
void sg_agent_keep_refused(struct sg_warden *warden, struct sg_warden_agent *agent);

// Releases it: removed when nothing runs in its cgroup any more, but not here.
void sg_agent_await_end(struct sg_warden *warden, struct sg_warden_agent *agent);

// Looks soon, and again and again, who has ended.
void sg_agents_reap(struct sg_warden *warden);
