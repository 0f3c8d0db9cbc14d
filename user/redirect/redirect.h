// SPDX-License-Identifier: Apache-2.0
// Owns the BPF object: loads or adopts it, attaches it to cgroups, and fills its maps. Everything
// is pinned below one directory of a BPF file system, so that an agent stays fenced when every
// process of ours is dead. Used by the warden's main thread only. Needs root (or CAP_BPF,
// CAP_NET_ADMIN, CAP_SYS_ADMIN).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "spendgate/abi.h"

struct sg_redirect;

// Can this machine do it? Checks root, cgroup v2, BTF, kernel features, BPF file system. Returns 0,
// or a negative errno with a sentence that names what is missing and the remedy.
int sg_redirect_probe(struct sg_error *error) SG_WUNRES;

// Opens the object pinned under `pin_directory` (made when missing, the BPF file system mounted
// when missing): maps that are pinned there and have the same layout are adopted, links that are
// pinned get the new programs by BPF_LINK_UPDATE with no unwatched moment. Pins of another layout
// are set aside: their programs go on with their own maps, until each agent is attached again.
// Returns 0 or -errno with the sentence (-EPROTO: others are set aside still).
int sg_redirect_open(const char *pin_directory, struct sg_redirect **ret_redirect,
	struct sg_error *error) SG_WUNRES;

// Closes descriptors; pins stay, enforcement stays. Accepts NULL, returns NULL.
struct sg_redirect *sg_redirect_close(struct sg_redirect *redirect);

// Removes every pin and the directory, of whatever layout: enforcement ends. For `spendgate run`'s
// own daemon when its last agent is gone.
int sg_redirect_remove_all(const char *pin_directory) SG_WUNRES;

// Is the agent fenced by pins of another layout? Then sg_redirect_attach_agent (or _guard) makes
// the fence anew, and takes the other away afterwards. What connects in between is refused. It goes
// on where an earlier warden was killed on that way.
bool sg_redirect_is_set_aside(const struct sg_redirect *redirect, uint32_t agent_id);

// Is the agent's fence, of whichever layout, around this cgroup? One that was removed and made anew
// by the same path has none.
bool sg_redirect_fences(const struct sg_redirect *redirect, uint32_t agent_id, int cgroup_fd);

// Removes what was set aside, unless it still fences somebody. Returns how many agents that are:
// they reach nothing, since nobody fills their maps.
unsigned sg_redirect_forget_before(struct sg_redirect *redirect);

// Attaches the getsockopt hook (SG_FLOW) to the cgroup that the warden and the enforcer live in.
// Replaces what an earlier run pinned there.
int sg_redirect_attach_service(
	struct sg_redirect *redirect, int cgroup_fd, struct sg_error *error) SG_WUNRES;

// Attaches all agent hooks to a cgroup and registers it. `agent_id` > 0, unique among live agents.
// All or nothing.
int sg_redirect_attach_agent(struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id,
	struct sg_error *error) SG_WUNRES;

// The same for a parent of agents' cgroups: what no agent below redirects, and is not direct, is
// refused. It has an agent's id, and is detached as one.
int sg_redirect_attach_guard(struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id,
	struct sg_error *error) SG_WUNRES;

// Cuts an agent off: its connects and datagrams are refused from now on, and nothing comes or goes
// over the sockets that it has but resets. Ending those is sg_sockets_end. In force until it is
// mended or detached, whatever becomes of us; done again it changes nothing. Returns 0 or -errno
// with the sentence.
int sg_redirect_cut_agent(struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id,
	struct sg_error *error) SG_WUNRES;
int sg_redirect_mend_agent(struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id,
	struct sg_error *error) SG_WUNRES;
bool sg_redirect_is_cut(const struct sg_redirect *redirect, uint32_t agent_id);

// Unpins and detaches. The cgroup may be gone already. Returns 0 or -errno (-ENOENT: no such
// agent).
int sg_redirect_detach_agent(struct sg_redirect *redirect, uint32_t agent_id);

// Calls `visit` for each agent whose pinned links were adopted or set aside (for both: twice);
// `alive` is false when its cgroup was removed.
typedef void (*sg_redirect_visit_fn)(
	void *context, uint32_t agent_id, uint64_t cgroup_id, bool alive);
int sg_redirect_each_agent(struct sg_redirect *redirect, sg_redirect_visit_fn visit, void *context);

int sg_redirect_set_listener(struct sg_redirect *redirect, uint64_t netns_cookie, uint16_t port4,
	uint16_t port6) SG_WUNRES;
int sg_redirect_clear_listener(struct sg_redirect *redirect, uint64_t netns_cookie);

// Clears all but those that are wanted.
void sg_redirect_keep_listeners(struct sg_redirect *redirect,
	bool (*is_wanted)(void *context, uint64_t netns_cookie), void *context);

// A registered endpoint is redirected even when its network is exempt. `address`: 16 bytes, IPv4
// mapped.
int sg_redirect_add_endpoint(
	struct sg_redirect *redirect, const uint8_t address[16], uint16_t port) SG_WUNRES;
int sg_redirect_remove_endpoint(
	struct sg_redirect *redirect, const uint8_t address[16], uint16_t port);

// File descriptor to poll for refusals, and the call that hands out what is there, some hundreds at
// a time: it is readable again while there are more.
typedef void (*sg_redirect_event_fn)(void *context, const struct sg_event *event);
int sg_redirect_event_fd(const struct sg_redirect *redirect);
int sg_redirect_read_events(
	struct sg_redirect *redirect, sg_redirect_event_fn on_event, void *context);

// Sum over all CPUs of counters[reason].
int sg_redirect_counter(
	const struct sg_redirect *redirect, enum sg_reason reason, uint64_t *ret_value) SG_WUNRES;

// The word for a reason in logs ("redirected", "quic", ...).
const char *sg_reason_name(enum sg_reason reason);
