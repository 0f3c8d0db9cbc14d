// SPDX-License-Identifier: Apache-2.0
// What the parts of the warden share: one struct, one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "channel/channel.h"
#include "loop/loop.h"
#include "redirect/redirect.h"
#include "warden/ca.h"
#include "warden/namespaces.h"

// What the log has of refusals of one reason.
struct sg_refusals_told {
	int64_t at_ns;	// the last line; 0: none
	unsigned since; // refusals after it
};

struct sg_warden_agent {
	struct sg_watch watch; // first: events of its cgroup, once it is released
	struct sg_deferred deferred;
	struct sg_warden *warden;
	struct sg_warden_agent *next;
	uint32_t id;
	uint64_t netns_cookie;
	int cgroup_fd;
	int events_fd;		 // its cgroup.events
	char *cgroup_path;	 // as seen by the warden
	json_t *request;	 // what was asked for; NULL: of an earlier version
	json_t *definition;	 // what the enforcer gets: the request and the configuration
	json_t *next_definition; // while a configuration is being changed (reload.c)
	bool released; // its command ended, or an engine minds it: removed as soon as the cgroup is
		       // empty
	bool refused; // its registration failed behind its fence: it reaches nothing
	bool adopted; // of an earlier warden: its command line may be gone, and with it the release
	struct sg_refusals_told refusals[SG_REASON_MAX];
	unsigned empty_turns; // of an adopted one: turns of the reaper in a row that found nobody
};

struct sg_control_client;
struct sg_files;
struct sg_resolver;

struct sg_warden {
	// options
	const char *run_directory;
	const char *state_directory;
	const char *pin_directory;
	const char *config_path;
	bool config_given; // the file must be there
	bool on_demand;
	json_t *config;
	uid_t enforcer_uid;
	gid_t enforcer_gid;

	struct sg_loop *loop;
	struct sg_redirect *redirect;
	struct sg_watch redirect_watch;
	struct sg_refusals_told refusals[SG_REASON_MAX]; // of sockets that are no agent's
	struct sg_ca *ca;
	struct sg_namespaces namespaces;
	char cgroup_root[4096];
	char cgroup_name[64];	   // ours, below the root
	char service_cgroup[4352]; // full path
	int service_cgroup_fd;

	// enforcer.c
	int enforcer_listen_fd;
	struct sg_watch enforcer_listen_watch;
	struct sg_watch enforcer_watch; // fd -1: not connected
	struct sg_timer respawn;
	bool enforcer_ready;
	bool is_settled; // what was before is taken over, or gone
	bool stopping;
	pid_t enforcer_pid; // 0: none known
	int64_t enforcer_connected_ms;
	unsigned failures; // in a row: for the backoff
	uint8_t *public_key;
	size_t public_key_length;
	uint32_t next_request;
	struct sg_channel_message *answer; // what sg_enforcer_ask waits for
	uint32_t awaited;

	// agents.c
	struct sg_warden_agent *agents;
	uint32_t next_agent_id;
	struct sg_timer reap;
	struct sg_timer again; // of agents that could not be adopted

	struct sg_resolver *resolver; // NULL: nothing was ever to be looked up
	struct sg_files *files;	      // NULL: no directory is watched
	int api_fds[2];		      // listening sockets of the control API
	unsigned api_fd_count;

	// control.c
	int control_fd;
	struct sg_watch control_watch;
	struct sg_control_client *clients;
};

// ---- enforcer.c: the other process ----

// Listens on warden.sock. An enforcer that is still running connects by itself; otherwise one is
// started.
int sg_enforcer_start(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;
void sg_enforcer_stop(struct sg_warden *warden);

// Waits until the enforcer has said READY. Returns 0 or -ETIMEDOUT.
int sg_enforcer_wait(struct sg_warden *warden, int timeout_ms) SG_WUNRES;

// Sends and waits for the answer, while other messages are served. *ret_answer's descriptors belong
// to the caller. Returns 0, -ENOTCONN, -ETIMEDOUT or another -errno.
int sg_enforcer_ask(struct sg_warden *warden, enum sg_channel_type type, const int *fds,
	unsigned fd_count, struct sg_channel_message *ret_answer) SG_WUNRES;

// ---- messages.c: what is said ----

// To an enforcer that is connected; waits while it is behind. Returns 0 or -errno.
int sg_enforcer_send(struct sg_warden *warden, enum sg_channel_type type, uint32_t id,
	int32_t result, const void *payload, size_t length, const int *fds,
	unsigned fd_count) SG_WUNRES;

// Sends what needs no answer; quiet when the enforcer is away (it gets everything when it is back).
void sg_enforcer_tell(struct sg_warden *warden, enum sg_channel_type type, const void *payload,
	size_t length, const int *fds, unsigned fd_count);

// Sends the configuration as it is now; what the enforcer makes of it is not awaited.
void sg_enforcer_tell_config(struct sg_warden *warden);

// Sends the configuration and waits for what the enforcer makes of it.
int sg_enforcer_configure(
	struct sg_warden *warden, struct sg_channel_message *ret_answer) SG_WUNRES;

// Sends an agent's definition and its keys, and waits. Returns 0, or -errno with the sentence.
int sg_enforcer_announce(struct sg_warden *warden, const struct sg_warden_agent *agent,
	struct sg_error *error) SG_WUNRES;

void sg_enforcer_tell_listener(struct sg_warden *warden, const struct sg_namespace *item);

// Does what a message of the enforcer asks for. Its descriptors are closed, or taken over.
void sg_enforcer_take(struct sg_warden *warden, struct sg_channel_message *message);

// ---- agents.c ----

// Registers: `request` as in spendgate/control.h. Takes none of the descriptors. *ret_agent is
// owned by the table.
int sg_agents_register(struct sg_warden *warden, const json_t *request, int cgroup_fd, int netns_fd,
	struct sg_warden_agent **ret_agent, struct sg_error *error) SG_WUNRES;
struct sg_warden_agent *sg_agents_find(const struct sg_warden *warden, uint32_t id);

// By its cgroup, whatever it is called. NULL: there is none.
struct sg_warden_agent *sg_agents_find_group(const struct sg_warden *warden, int cgroup_fd);

// By its engine's id, or a guard by its path. NULL: there is none.
struct sg_warden_agent *sg_agents_find_container(
	const struct sg_warden *warden, const char *container);

// Its command has ended: removed when nothing runs in its cgroup any more.
void sg_agents_release_agent(struct sg_warden *warden, struct sg_warden_agent *agent);

// A container that goes on is no agent any more: its sockets are its own again. Returns 0 or
// -ENOENT with the sentence.
int sg_agents_detach(
	struct sg_warden *warden, const char *container, struct sg_error *error) SG_WUNRES;

// After a restart: the agents of <run>/agents whose cgroups are there. Those that can't be adopted
// stay refused, and are tried again.
int sg_agents_adopt_all(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;

const char *sg_agent_name(const struct sg_warden_agent *agent);

// Stores it, for a warden that is started anew.
int sg_agents_store(const struct sg_warden *warden, const struct sg_warden_agent *agent,
	struct sg_error *error) SG_WUNRES;

void sg_agents_free_all(struct sg_warden *warden);

// ---- stop.c ----

struct sg_stop_result {
	unsigned agents;      // of that name
	unsigned connections; // that were ended
};

// Does what the order says to every agent of its name, and tells the enforcer. Returns 0, -ENOENT:
// there is none, or another -errno, with the sentence: it has failed for one of them at least.
int sg_stop_agents(struct sg_warden *warden, const struct sg_channel_stop *order,
	struct sg_stop_result *ret_result, struct sg_error *error) SG_WUNRES;

// ---- control.c ----

// {reason: count} of the redirect. New reference, or NULL.
json_t *sg_control_counters(const struct sg_warden *warden);

int sg_control_start(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;
void sg_control_stop(struct sg_warden *warden);

// Nothing left to do for a daemon that was started on demand?
void sg_control_stop_if_idle(struct sg_warden *warden);

// ---- refusals.c ----

// The redirect has events (struct sg_warden.redirect_watch).
void sg_refusals_on_event(struct sg_watch *watch, uint32_t events);

// ---- trust.c ----

// Writes <run>/trust/ca.pem and bundle.pem (the system's certificates and ours), readable by all.
int sg_trust_write(const struct sg_warden *warden, struct sg_error *error) SG_WUNRES;

// Removes <run>/trust/agent-ID, where the command line put what the agent's own variables named,
// merged with our certificate.
void sg_trust_forget(const struct sg_warden *warden, uint32_t agent_id);
