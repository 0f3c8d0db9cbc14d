// SPDX-License-Identifier: Apache-2.0
//
// The contract between warden (root) and enforcer (unprivileged): messages over a SOCK_SEQPACKET
// socket, one datagram each, a header and a payload, with file descriptors where the table says so.
// The warden listens on <run>/warden.sock, the enforcer connects (and reconnects: either can be
// restarted without the other); the warden checks SO_PEERCRED.
//
// clang-format off
// message         from      payload                                                    descriptors
// HELLO           enforcer  sg_channel_hello + leaf public key (DER SPKI)              -
// HELD            enforcer  sg_channel_listener: a listener it still holds             v4, v6 (those that are there)
// READY           enforcer  -: no more HELD; asks for the rest                         -
// CA              warden    answers HELLO: CA certificate, DER                         -
// CONFIG          warden    configuration, JSON                                        sealed memfd
// CONFIG_RESULT   enforcer  answers a CONFIG that is not its first: result, text on    -
//                           failure, else the keys that need a restart ("workers")
// LISTENER        warden    sg_channel_listener                                        v4, v6 (those that are there)
// LISTENER_GONE   warden    sg_channel_listener                                        -
// AGENT           warden    -                                                          memfd with the agent, JSON
// AGENT_GONE      warden    sg_channel_agent                                           -
// AGENT_RESULT    enforcer  answers AGENT: result, text on failure                     -
// SIGN            enforcer  host name (no NUL)                                         -
// LEAF            warden    answers SIGN: certificate, DER                             -
// SOCKET          enforcer  sg_channel_socket: wants a TCP socket in a netns           -
// SOCKET_MADE     warden    answers SOCKET                                             the socket, not connected
// STATUS          warden    -                                                          -
// STATUS_RESULT   enforcer  answers STATUS                                             memfd with JSON
// CONTROL         CLI       spendgate/control.h, on another socket                     memfd with JSON, and what the op says
// CONTROL_RESULT  warden    answers CONTROL                                            memfd with JSON
// FILES           warden    files of the watched directories                           memfd with JSON
// BUDGET          warden    op "budget" of spendgate/control.h                         memfd with JSON
// BUDGET_RESULT   enforcer  answers BUDGET                                             memfd with JSON
// STOP            both      sg_channel_stop: enforcer: agents of a name are to be      -
//                           stopped, or to go on; warden: one has been
// API             warden    -                                                          listening sockets of the control API
// COUNTERS        enforcer  -                                                          -
// COUNTERS_RESULT warden    answers COUNTERS: {reason: count} of the redirect          memfd with JSON
// clang-format on
//
// `id` of an answer is that of its question (0: nobody waits for one); `result` is 0 or a negative
// errno.
#ifndef SPENDGATE_CHANNEL_H
#define SPENDGATE_CHANNEL_H

#include <stdint.h>

#define SG_CHANNEL_VERSION     1
#define SG_CHANNEL_MAX_PAYLOAD 8192
#define SG_CHANNEL_MAX_FDS     3

enum sg_channel_type {
	SG_CHANNEL_HELLO = 1,
	SG_CHANNEL_HELD,
	SG_CHANNEL_READY,
	SG_CHANNEL_CONFIG,
	SG_CHANNEL_LISTENER,
	SG_CHANNEL_LISTENER_GONE,
	SG_CHANNEL_AGENT,
	SG_CHANNEL_AGENT_GONE,
	SG_CHANNEL_AGENT_RESULT,
	SG_CHANNEL_SIGN,
	SG_CHANNEL_LEAF,
	SG_CHANNEL_SOCKET,
	SG_CHANNEL_SOCKET_MADE,
	SG_CHANNEL_STATUS,
	SG_CHANNEL_STATUS_RESULT,
	SG_CHANNEL_CA,
	SG_CHANNEL_CONTROL,
	SG_CHANNEL_CONTROL_RESULT,
	SG_CHANNEL_CONFIG_RESULT,
	SG_CHANNEL_FILES,
	SG_CHANNEL_BUDGET,
	SG_CHANNEL_BUDGET_RESULT,
	SG_CHANNEL_API,
	SG_CHANNEL_COUNTERS,
	SG_CHANNEL_COUNTERS_RESULT,
	SG_CHANNEL_STOP,
};

struct sg_channel_header {
	uint32_t type;
	uint32_t id;
	int32_t result;
	uint32_t length; // of the payload
};

struct sg_channel_hello {
	uint32_t version;
	uint32_t abi_version;
};

struct sg_channel_listener {
	uint64_t netns_cookie;
	uint16_t port4;
	uint16_t port6;
	uint32_t reserved;
};

struct sg_channel_agent {
	uint32_t agent_id;
};

enum sg_channel_stop_how {
	SG_STOP_CUT = 1, // off from every network
	SG_STOP_FREEZE,	 // its processes
	SG_STOP_RESUME,	 // neither any more
};

struct sg_channel_stop {
	uint32_t how;
	uint32_t agent_id;    // the warden's
	uint32_t connections; // that were ended; the warden's
	uint32_t reserved;
	char agent[64];	  // name; this and the others end with a NUL
	char who[128];	  // wants it
	char reason[256]; // "": none was given
};

struct sg_channel_socket {
	uint64_t netns_cookie;
	uint32_t family; // AF_INET, AF_INET6
	uint32_t reserved;
};

// clang-format off
// The agent as JSON (message AGENT), written by the warden from what the CLI or the configuration asked:
//   {"id": 7, "name": "writer", "team"?, "labels"?: {...}, "egress"?: "agent"|"host",
//    "unknown_model"?: "deny"|"allow"|"price_as:MODEL", "policy_exempt"?: true,
//    "budgets": [...as in the configuration...],
//    "origins": [{"host": "api.openai.com", "address": "127.0.0.1:9443", "provider"?: "openai", "plain"?: false}],
//    "upstream_ca"?: "-----BEGIN CERTIFICATE-----...",
//    "keys"?: [{"provider": "openai", "key": the operator's, "host"?: glob}],
//    "cut"?: true: it is cut off}
// The warden's own members travel with it and are passed over: "container", "guard", "profile".
// clang-format on
//
// The configuration as JSON (message CONFIG): the file as validated by the warden (docs:
// configuration), or {}.

// The files that change policies (message FILES), as bytes that the warden does not look into. All
// of them after READY ("complete": what is not named is not there), later those that have changed:
//   {"complete": false, "files": [{"agent": "writer", "layer": "metadata"|"compiled_override"|
//    "override"|"governance", "path": ..., "text"?: its bytes, "error"?: why it can't be read}]}
// Neither text nor error: the file is gone.

#endif
