// SPDX-License-Identifier: Apache-2.0
//
// The contract between the command line and the warden: messages CONTROL and CONTROL_RESULT of
// spendgate/channel.h on a unix socket at <run>/control.sock (root only). Request and answer are
// one JSON object each, in a sealed memfd. Requests have
// {"op": ...}; answers are {"ok": true, ...} or {"ok": false, "error": "sentence with the remedy",
// "errno": N}.
//
// clang-format off
// op        request                                                     answer
// ping      -                                                           {"version", "pid", "on_demand", "cgroup": path of
//                                                                        the agents' cgroups below the hierarchy's root}
// register  "name", "budgets" [...], "origins" [...], "egress",         {"id", "ca": path, "bundle": path}
//           "unknown_model"?, "upstream_ca"? (PEM text), "team"?,
//           "labels"? (object), "profile"? (of the
//           configuration), "policy_exempt"? (bool), "container"?
//           (its id: an engine minds the cgroup), "guard"? (true: a
//           parent of agents' cgroups, in which whatever is no agent
//           is refused), "image"? (what the image of a container
//           asks for by labels of its own: "name", "team",
//           "profile", "egress", "unknown_model", "budget" {...};
//           judged by the configuration's image_labels),
//           "capabilities"? (those of a container with which it can
//           leave the fence: told in the log); descriptors after the
//           memfd: the cgroup's directory, the network namespace
// release   "id": the agent's command has ended                         {"status": {...of the agent}}
// detach    "container": as it was registered; no agent any more        -
// cut       "agent": name, "who", "reason"?: off from every network     {"agents": how many have the name, "connections":
//                                                                        that were ended}
// resume    the same: it may go on, cut off or frozen                   {"agents"}
// status    -                                                           {"agents": [...], "redirect": {reason: count}}
// prices    "document": a table as docs/prices.md has it                -
// reload    -                                                           {"restart": keys that need one, or ""}
// budget    "verb": "set" with "agent", "who", "override" {...}         {"agent", "started", "before", "after"}
//           "verb": "remove" with "agent", "who", "budget"?, "reason"?  the same
//           "verb": "show" with "agent"?                                {"agents": [...]} (control/control.h)
//           "verb": "audit" with "lines", "agent"?                      {"lines": [...]}
// clang-format on
//
// A connection that registered an agent and closes without `release` leaves the agent fenced until
// its cgroup is empty.
#ifndef SPENDGATE_CONTROL_H
#define SPENDGATE_CONTROL_H

#define SG_CONTROL_MAX_BYTES (4u << 20)

#define SG_DEFAULT_RUN_DIRECTORY   "/run/spendgate"
#define SG_DEFAULT_STATE_DIRECTORY "/var/lib/spendgate"
#define SG_DEFAULT_PIN_DIRECTORY   "/sys/fs/bpf/spendgate"
#define SG_DEFAULT_CONFIG	   "/etc/spendgate/config.json"
#define SG_DEFAULT_USER		   "spendgate"

// The names of the budgets that labels make: a container's, and its image's.
#define SG_CONTROL_CONTAINER_BUDGET "container"
#define SG_CONTROL_IMAGE_BUDGET	    "image"

// For tests and side-by-side installations; read by all three programs.
#define SG_ENV_RUN_DIRECTORY   "SPENDGATE_RUN_DIR"
#define SG_ENV_STATE_DIRECTORY "SPENDGATE_STATE_DIR"
#define SG_ENV_PIN_DIRECTORY   "SPENDGATE_PIN_DIR"

#endif
