// SPDX-License-Identifier: Apache-2.0
//
// The contract between the command line and the warden: a SOCK_SEQPACKET unix socket at <run>/control.sock (root only).
// One request is one JSON object, {"op": ..., ...}; one answer is one JSON object, {"ok": true, ...} or
// {"ok": false, "error": "sentence with the remedy", "errno": N}. Anything large travels in a memfd beside the message.
//
// op          request                                                            answer
// ping        -                                                                  {"version", "pid", "on_demand"}
// register    "name", "budgets" [...], "origins" [...], "egress",                 {"id", "ca_certificate": path,
//             "unknown_model"?; descriptors: cgroup directory, network            "adopted": bool}
//             namespace, and (if "has_upstream_ca") a memfd with PEM
// release     "id": the agent's command has ended                                 {"status": {...of the agent}}
// status      -                                                                  {} and a memfd with
//                                                                                 {"agents": [...], "redirect": {...}}
//
// A connection that registered an agent and closes without `release` leaves the agent fenced: its cgroup may still have
// processes. The warden removes an agent when its cgroup is gone.
#ifndef SPENDGATE_CONTROL_H
#define SPENDGATE_CONTROL_H

#define SG_CONTROL_MAX_MESSAGE 65536

#define SG_DEFAULT_RUN_DIRECTORY   "/run/spendgate"
#define SG_DEFAULT_STATE_DIRECTORY "/var/lib/spendgate"
#define SG_DEFAULT_PIN_DIRECTORY   "/sys/fs/bpf/spendgate"
#define SG_DEFAULT_CONFIG          "/etc/spendgate/config.json"
#define SG_DEFAULT_USER            "spendgate"

// For tests and side-by-side installations; read by all three programs.
#define SG_ENV_RUN_DIRECTORY   "SPENDGATE_RUN_DIR"
#define SG_ENV_STATE_DIRECTORY "SPENDGATE_STATE_DIR"
#define SG_ENV_PIN_DIRECTORY   "SPENDGATE_PIN_DIR"

#endif
