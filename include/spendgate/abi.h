/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract between the BPF programs (bpf/) and user space (user/redirect, user/enforcer).
 *
 * agents         warden writes, every hook reads; attach-point cgroup id -> sg_agent_slot; lives as
 *                long as the agent's link
 * listeners      warden; connect, bind; netns cookie -> sg_listener; the namespace's listener
 * direct         warden; connect; LPM of address -> (nothing); the pin
 * endpoints      warden; connect; sg_endpoint -> (nothing); the pin
 * sockets        connect; sockops, getpeername; socket storage; the socket
 * flows          sockops; getsockopt; sg_flow_key -> sg_flow_record; SYN to accept, or to the end
 *                of a connection that broke off
 * pending_flows  sockops, getsockopt; connect; agent id -> its entries in flows; the agent
 * counters       every hook; warden; sg_reason -> u64, per CPU; the pin
 * events         connect, sendmsg, bind; warden; ring buffer of sg_event
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports are in host order
 * everywhere here.
 */
#ifndef SPENDGATE_ABI_H
#define SPENDGATE_ABI_H

#include <linux/types.h>

#define SG_ABI_VERSION 1

/* getsockopt(fd, SOL_SPENDGATE, SG_FLOW, &record, &length) on a socket accepted by the enforcer. */
#define SOL_SPENDGATE 0x5347
#define SG_FLOW	      1

#define SG_MAX_AGENTS	   4096
#define SG_MAX_FLOWS	   262144 /* memory is taken by those that are there */
#define SG_MAX_AGENT_FLOWS 8192	  /* of one agent, in flows at a time */
#define SG_MAX_NETNS	   4096
#define SG_MAX_ENDPOINTS   4096
#define SG_MAX_DIRECT	   256

/* Of a slot: a parent of agents' cgroups. What no agent's hook below it has sent to a listener, and
 * is not direct, is refused. */
#define SG_SLOT_GUARD 1u

/* Cut off: nothing is sent to a listener or goes direct any more. */
#define SG_SLOT_CUT 2u

struct sg_agent_slot {
	__u32 agent_id; /* 0: attached, not yet registered: everything is refused */
	__u32 flags;	/* SG_SLOT_... */
};

struct sg_listener {
	__u16 port4; /* on 127.0.0.1; 0: none */
	__u16 port6; /* on ::1; 0: none */
	__u32 reserved;
};

struct sg_endpoint {
	__u8 address[16];
	__u16 port;
	__u8 padding[6];
};

struct sg_direct_key {
	__u32 prefix_length; /* of the 128-bit form: an IPv4 /8 is 104 */
	__u8 address[16];
};

struct sg_flow_key {
	__u64 netns_cookie;
	__u8 source[16];
	__u16 source_port;
	__u8 padding[6];
};

struct sg_flow_record {
	__u64 cgroup_id;    /* of the calling task, for the audit log; identity is agent_id */
	__u64 netns_cookie; /* of the agent's socket */
	__u32 agent_id;	    /* from the attach point */
	__u32 process_id;   /* thread group id, as the initial pid namespace sees it */
	__u8 destination[16];
	__u16 destination_port;
	__u16 family; /* AF_INET or AF_INET6: as the agent's socket has it */
	__u32 reserved;
	char command[16];
};

enum sg_reason {
	SG_REASON_REDIRECTED,
	SG_REASON_DIRECT,      /* exempt network */
	SG_REASON_NO_AGENT,    /* attach point not registered yet: refused */
	SG_REASON_NO_LISTENER, /* network namespace without a listener, or a socket that is bound to
				  a device from which none is reached: refused */
	SG_REASON_OWN_PORT,    /* the enforcer's own listener addressed directly: refused */
	SG_REASON_QUIC,	       /* UDP to port 443: refused, so that clients fall back to TCP */
	SG_REASON_STORAGE, /* socket storage, flows, or the agent's part of flows full: refused */
	SG_REASON_BIND,	   /* bind to the listener's port: refused */
	SG_REASON_CUT,	   /* the agent is cut off: refused */
	SG_REASON_MAX,
};

#define SG_MAX_REASONS 16 /* of the map: a new reason is no other layout */

struct sg_event {
	__u32 agent_id;
	__u32 reason; /* enum sg_reason */
	__u32 process_id;
	__u16 destination_port;
	__u16 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 destination[16];
	char command[16];
};

_Static_assert(SG_REASON_MAX <= SG_MAX_REASONS, "abi");
_Static_assert(sizeof(struct sg_agent_slot) == 8, "abi");
_Static_assert(sizeof(struct sg_listener) == 8, "abi");
_Static_assert(sizeof(struct sg_endpoint) == 24, "abi");
_Static_assert(sizeof(struct sg_direct_key) == 20, "abi");
_Static_assert(sizeof(struct sg_flow_key) == 32, "abi");
_Static_assert(sizeof(struct sg_flow_record) == 64, "abi");
_Static_assert(sizeof(struct sg_event) == 48, "abi");

#endif
