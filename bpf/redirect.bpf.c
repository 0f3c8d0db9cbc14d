/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel side: what an agent's sockets may do, and where they go.
 *
 *   connect4, connect6      decide: direct, redirect, or refuse
 *   sendmsg4, sendmsg6      refuse QUIC
 *   bind4, bind6            keep the listener's port ours
 *   getpeername4, 6         the agent sees the peer that it asked for
 *   sockops                 tells accept() who is calling, before the SYN leaves
 *   getsockopt              hands that to the enforcer (attached to the service's own cgroup)
 *   cut_egress, cut_ingress drop what still comes and goes (attached while an agent is cut off)
 *
 * UAPI headers only; loads on Linux 6.1 and later. Identity is the cgroup storage of the attach
 * point: right for nested cgroups, moved tasks and passed descriptors, where the current task's
 * cgroup is not.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"

#define bool _Bool
#define true 1
#define false 0

#define AF_INET	 2
#define AF_INET6 10

#define SOCK_STREAM 1

#define SOL_SOCKET	 1
#define SO_BINDTOIFINDEX 62

#define LOOPBACK4	0x7f000001
#define LOOPBACK_DEVICE 1 /* in every network namespace */

#define QUIC_PORT 443

#define ENOENT 2

/* Keeps a read where it stands: clang merges the reads of two branches into one through a computed
 * pointer, which the verifier refuses for contexts. */
#define KEEP(value) asm volatile("" : "+r"(value))

#define ALLOW 1
#define DENY  0

char _license[] SEC("license") = "GPL";

/* A destination in one form for both families: 16 bytes, IPv4 mapped. */
struct destination {
	__u32 word[4]; /* network order */
	__u16 port;    /* host order */
};

static __always_inline void count(__u32 reason)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &reason);

	if (counter)
		(*counter)++; /* per CPU */
}

static __always_inline void set_mapped(__u32 word[4], __u32 ipv4)
{
	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = ipv4;
}

static __always_inline bool is_mapped(const __u32 word[4])
{
	return word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_loopback(const __u32 word[4])
{
	if (is_mapped(word))
		return (word[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return word[0] == 0 && word[1] == 0 && word[2] == 0 && word[3] == bpf_htonl(1);
}

static __always_inline bool is_unspecified(const __u32 word[4])
{
	return word[0] == 0 && word[1] == 0 && (word[2] == 0 || word[2] == bpf_htonl(0xffff)) &&
	       word[3] == 0;
}

static __always_inline int refuse(
	struct bpf_sock_addr *ctx, const struct destination *to, __u32 agent_id, __u32 reason)
{
	struct sg_event *event;

	count(reason);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (event) {
		event->agent_id = agent_id;
		event->reason = reason;
		event->process_id = bpf_get_current_pid_tgid() >> 32;
		event->destination_port = to->port;
		event->protocol = ctx->protocol;
		__builtin_memcpy(event->destination, to->word, sizeof(event->destination));
		bpf_get_current_comm(event->command, sizeof(event->command));
		bpf_ringbuf_submit(event, 0);
	}
	return DENY;
}

static __always_inline bool is_direct(const struct destination *to)
{
	struct sg_endpoint endpoint = {};
	struct sg_direct_key key = { .prefix_length = 128 };

	__builtin_memcpy(endpoint.address, to->word, sizeof(endpoint.address));
	endpoint.port = to->port;
	if (bpf_map_lookup_elem(&endpoints, &endpoint))
		return false;
	__builtin_memcpy(key.address, to->word, sizeof(key.address));
	return bpf_map_lookup_elem(&direct, &key) != NULL;
}

/* A socket that goes direct carries no record of an earlier connect. */
static __always_inline int pass(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk)
		bpf_sk_storage_delete(&sockets, sk);
	count(SG_REASON_DIRECT);
	return ALLOW;
}

static __always_inline void fill_record(struct sg_flow_record *record, const struct destination *to,
	__u64 netns_cookie, __u32 agent_id, __u16 family)
{
	record->cgroup_id = bpf_get_current_cgroup_id();
	record->netns_cookie = netns_cookie;
	record->agent_id = agent_id;
	record->process_id = bpf_get_current_pid_tgid() >> 32;
	__builtin_memcpy(record->destination, to->word, sizeof(record->destination));
	record->destination_port = to->port;
	record->family = family;
	record->reserved = 0;
	bpf_get_current_comm(record->command, sizeof(record->command));
}

/* Hooks of agents' cgroups below ran before: what they redirected goes to loopback by now. */
static __always_inline int decide_as_guard(
	struct bpf_sock_addr *ctx, const struct destination *to, __u32 agent_id)
{
	if (is_loopback(to->word) || is_direct(to))
		return ALLOW;
	return refuse(ctx, to, agent_id, SG_REASON_NO_AGENT);
}

/* The listener is on loopback, where no packet of a socket comes that is bound to another device.
 * Who may not unbind it can't be redirected. */
static __always_inline bool can_reach_loopback(struct bpf_sock_addr *ctx, const struct bpf_sock *sk)
{
	int none = 0;

	return !sk->bound_dev_if || sk->bound_dev_if == LOOPBACK_DEVICE ||
	       bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTOIFINDEX, &none, sizeof(none)) == 0;
}

/* Decides for a TCP connect. On redirect *ret_port is the listener's port (host order); 0: leave
 * the address alone. */
static __always_inline int decide(struct bpf_sock_addr *ctx, const struct destination *to,
	__u16 family, bool ipv4, __u16 *ret_port)
{
	struct sg_agent_slot *slot = bpf_get_local_storage(&agents, 0);
	__u64 netns_cookie = bpf_get_netns_cookie(ctx);
	struct sg_listener *listener;
	struct sg_socket *socket;
	struct bpf_sock *sk;
	__s32 *pending;
	__u16 port;

	*ret_port = 0;
	if (!slot->agent_id)
		return refuse(ctx, to, 0, SG_REASON_NO_AGENT);
	if (slot->flags & SG_SLOT_GUARD)
		return decide_as_guard(ctx, to, slot->agent_id);
	if (slot->flags & SG_SLOT_CUT)
		return refuse(ctx, to, slot->agent_id, SG_REASON_CUT);
	listener = bpf_map_lookup_elem(&listeners, &netns_cookie);
	sk = ctx->sk;
	if (listener && is_loopback(to->word) &&
		(to->port == listener->port4 || to->port == listener->port6)) {
		/* Only hooks of nested agents' cgroups, which ran just before us, may have put this
		 * address here. The mark stays until the connection leaves (sockops): there may be
		 * more hooks above. */
		socket = sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;
		if (socket && socket->redirected && socket->port == to->port)
			return ALLOW;
		return refuse(ctx, to, slot->agent_id, SG_REASON_OWN_PORT);
	}
	if (is_direct(to))
		return pass(ctx);
	port = listener ? (ipv4 ? listener->port4 : listener->port6) : 0;
	if (!port)
		return refuse(ctx, to, slot->agent_id, SG_REASON_NO_LISTENER);
	pending = bpf_map_lookup_elem(&pending_flows, &slot->agent_id);
	if (pending && *pending >= SG_MAX_AGENT_FLOWS)
		return refuse(ctx, to, slot->agent_id, SG_REASON_STORAGE);
	if (sk && !can_reach_loopback(ctx, sk))
		return refuse(ctx, to, slot->agent_id, SG_REASON_NO_LISTENER);
	socket = sk ? bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	if (!socket)
		return refuse(ctx, to, slot->agent_id, SG_REASON_STORAGE);
	fill_record(&socket->record, to, netns_cookie, slot->agent_id, family);
	socket->redirected = 1;
	socket->port = port;
	count(SG_REASON_REDIRECTED);
	*ret_port = port;
	return ALLOW;
}

static __always_inline int decide_datagram(struct bpf_sock_addr *ctx, const struct destination *to)
{
	struct sg_agent_slot *slot = bpf_get_local_storage(&agents, 0);

	if (slot->flags & SG_SLOT_CUT)
		return refuse(ctx, to, slot->agent_id, SG_REASON_CUT);
	if (to->port == QUIC_PORT && !is_loopback(to->word))
		return refuse(ctx, to, slot->agent_id, SG_REASON_QUIC);
	return ALLOW;
}

static __always_inline void read4(struct bpf_sock_addr *ctx, struct destination *to)
{
	set_mapped(to->word, ctx->user_ip4);
	to->port = bpf_ntohs(ctx->user_port);
}

static __always_inline void read6(struct bpf_sock_addr *ctx, struct destination *to)
{
	to->word[0] = ctx->user_ip6[0];
	to->word[1] = ctx->user_ip6[1];
	to->word[2] = ctx->user_ip6[2];
	to->word[3] = ctx->user_ip6[3];
	to->port = bpf_ntohs(ctx->user_port);
}

/* Linux takes a connect to the unspecified address for one to where the socket is bound, or to
 * loopback. Settled here, and so what is judged is what is dialled. */
static __always_inline __u32 settle4(const struct bpf_sock *sk)
{
	__u32 source = sk ? sk->src_ip4 : 0;

	return source ? source : bpf_htonl(LOOPBACK4);
}

/* Of "::" it is always loopback, of the family that the socket is bound to. */
static __always_inline void settle6(
	struct bpf_sock_addr *ctx, const struct bpf_sock *sk, struct destination *to)
{
	bool by_ipv4 = sk && sk->src_ip6[0] == 0 && sk->src_ip6[1] == 0 &&
		       sk->src_ip6[2] == bpf_htonl(0xffff);

	if (is_mapped(to->word)) {
		to->word[3] = settle4(sk);
	} else {
		to->word[2] = by_ipv4 ? bpf_htonl(0xffff) : 0;
		to->word[3] = by_ipv4 ? bpf_htonl(LOOPBACK4) : bpf_htonl(1);
	}
	ctx->user_ip6[2] = to->word[2];
	ctx->user_ip6[3] = to->word[3];
}

SEC("cgroup/connect4")
int sg_connect4(struct bpf_sock_addr *ctx)
{
	struct destination to;
	__u16 port;
	int verdict;

	read4(ctx, &to);
	if (ctx->type != SOCK_STREAM)
		return decide_datagram(ctx, &to);
	if (is_unspecified(to.word)) {
		to.word[3] = settle4(ctx->sk);
		ctx->user_ip4 = to.word[3];
	}
	verdict = decide(ctx, &to, AF_INET, true, &port);
	if (port) {
		ctx->user_ip4 = bpf_htonl(LOOPBACK4);
		ctx->user_port = bpf_htons(port);
	}
	return verdict;
}

SEC("cgroup/connect6")
int sg_connect6(struct bpf_sock_addr *ctx)
{
	struct destination to;
	bool ipv4;
	__u16 port;
	int verdict;

	read6(ctx, &to);
	if (ctx->type != SOCK_STREAM)
		return decide_datagram(ctx, &to);
	if (is_unspecified(to.word))
		settle6(ctx, ctx->sk, &to);
	ipv4 = is_mapped(to.word);
	verdict = decide(ctx, &to, AF_INET6, ipv4, &port);
	if (port) {
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = ipv4 ? bpf_htonl(0xffff) : 0;
		ctx->user_ip6[3] = ipv4 ? bpf_htonl(LOOPBACK4) : bpf_htonl(1);
		ctx->user_port = bpf_htons(port);
	}
	return verdict;
}

SEC("cgroup/sendmsg4")
int sg_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct destination to;

	read4(ctx, &to);
	return decide_datagram(ctx, &to);
}

SEC("cgroup/sendmsg6")
int sg_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct destination to;

	read6(ctx, &to);
	return decide_datagram(ctx, &to);
}

static __always_inline int decide_bind(struct bpf_sock_addr *ctx, const struct destination *to)
{
	struct sg_agent_slot *slot = bpf_get_local_storage(&agents, 0);
	__u64 netns_cookie = bpf_get_netns_cookie(ctx);
	struct sg_listener *listener = bpf_map_lookup_elem(&listeners, &netns_cookie);

	/* Also while the enforcer is down: whoever had the port would be taken for it. */
	if (ctx->type == SOCK_STREAM && to->port && listener &&
		(to->port == listener->port4 || to->port == listener->port6))
		return refuse(ctx, to, slot->agent_id, SG_REASON_BIND);
	return ALLOW;
}

SEC("cgroup/bind4")
int sg_bind4(struct bpf_sock_addr *ctx)
{
	struct destination to;

	read4(ctx, &to);
	return decide_bind(ctx, &to);
}

SEC("cgroup/bind6")
int sg_bind6(struct bpf_sock_addr *ctx)
{
	struct destination to;

	read6(ctx, &to);
	return decide_bind(ctx, &to);
}

static __always_inline const struct sg_socket *redirected_socket(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;
}

SEC("cgroup/getpeername4")
int sg_getpeername4(struct bpf_sock_addr *ctx)
{
	const struct sg_socket *socket = redirected_socket(ctx);
	__u32 ipv4;

	if (socket) {
		__builtin_memcpy(&ipv4, socket->record.destination + 12, sizeof(ipv4));
		ctx->user_ip4 = ipv4;
		ctx->user_port = bpf_htons(socket->record.destination_port);
	}
	return ALLOW;
}

SEC("cgroup/getpeername6")
int sg_getpeername6(struct bpf_sock_addr *ctx)
{
	const struct sg_socket *socket = redirected_socket(ctx);
	__u32 word[4];

	if (socket) {
		__builtin_memcpy(word, socket->record.destination, sizeof(word));
		ctx->user_ip6[0] = word[0];
		ctx->user_ip6[1] = word[1];
		ctx->user_ip6[2] = word[2];
		ctx->user_ip6[3] = word[3];
		ctx->user_port = bpf_htons(socket->record.destination_port);
	}
	return ALLOW;
}

/* Connections that the enforcer has not asked for yet, by agent. Signed, and never made here below
 * zero: entries that an earlier version wrote were not counted. */
static __always_inline void count_pending(__u32 agent_id, __s32 change)
{
	__s32 *pending = bpf_map_lookup_elem(&pending_flows, &agent_id);
	__s32 none = 0;

	if (!pending && change > 0) {
		bpf_map_update_elem(&pending_flows, &agent_id, &none, BPF_NOEXIST);
		pending = bpf_map_lookup_elem(&pending_flows, &agent_id);
	}
	if (pending)
		__sync_fetch_and_add(pending, change);
}

static __always_inline void forget_flow(const struct sg_flow_key *key)
{
	struct sg_flow_record *record = bpf_map_lookup_elem(&flows, key);
	__u32 agent_id;

	if (!record)
		return;
	agent_id = record->agent_id;
	if (bpf_map_delete_elem(&flows, key) == 0) /* who deletes, counts */
		count_pending(agent_id, -1);
}

static __always_inline void remember_flow(
	const struct sg_flow_key *key, const struct sg_flow_record *record)
{
	/* What an earlier connection with this source port left is nobody's now. */
	forget_flow(key);
	/* Not "< 0": before Linux 6.4 an error of these calls is an int in a 64-bit register, and
	 * so positive. */
	if (bpf_map_update_elem(&flows, key, record, BPF_NOEXIST) != 0)
		count(SG_REASON_STORAGE);
	else
		count_pending(record->agent_id, 1);
}

static __always_inline void source_key(struct bpf_sock_ops *ctx, struct sg_flow_key *key)
{
	__u32 word[4], ipv4 = ctx->local_ip4;

	KEEP(ipv4);
	if (ctx->family == AF_INET6) {
		word[0] = ctx->local_ip6[0];
		word[1] = ctx->local_ip6[1];
		word[2] = ctx->local_ip6[2];
		word[3] = ctx->local_ip6[3];
	} else {
		set_mapped(word, ipv4);
	}
	__builtin_memcpy(key->source, word, sizeof(key->source));
	key->source_port = ctx->local_port;
}

/* A connection that nobody will accept any more: refused, timed out or reset. After an orderly end
 * the enforcer may still have to accept it, for what was written. */
static __always_inline bool is_broken_off(struct bpf_sock_ops *ctx)
{
	__u32 before = ctx->args[0];

	return ctx->args[1] == BPF_TCP_CLOSE &&
	       (before == BPF_TCP_SYN_SENT || before == BPF_TCP_ESTABLISHED);
}

/* At TCP_CONNECT_CB the source port is chosen and the SYN not yet sent: the entry is there before
 * any accept, fast open included. A full map leaves a connection without an entry, which the
 * enforcer closes. */
SEC("sockops")
int sg_sockops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk; /* once: clang 14 reads it again after the check otherwise */
	struct sg_flow_key key = {};
	struct sg_socket *socket;

	if (!sk || (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_STATE_CB))
		return 1;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket)
		return 1;
	key.netns_cookie = socket->record.netns_cookie;
	source_key(ctx, &key);
	if (ctx->op == BPF_SOCK_OPS_STATE_CB) {
		if (is_broken_off(ctx))
			forget_flow(&key);
		return 1;
	}
	socket->redirected = 0;
	remember_flow(&key, &socket->record);
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	return 1;
}

static __always_inline int answer_flow(struct bpf_sockopt *ctx)
{
	struct sg_flow_record *out = ctx->optval;
	struct bpf_sock *sk = ctx->sk;
	struct sg_flow_record *record;
	struct sg_flow_key key = {};
	__u32 word[4], ipv4;

	if (!sk || (void *)(out + 1) > ctx->optval_end)
		return ALLOW; /* the kernel's own error stays */
	key.netns_cookie = bpf_get_netns_cookie(ctx);
	ipv4 = sk->dst_ip4;
	KEEP(ipv4);
	if (sk->family == AF_INET6) {
		word[0] = sk->dst_ip6[0];
		word[1] = sk->dst_ip6[1];
		word[2] = sk->dst_ip6[2];
		word[3] = sk->dst_ip6[3];
	} else {
		set_mapped(word, ipv4);
	}
	__builtin_memcpy(key.source, word, sizeof(key.source));
	key.source_port = bpf_ntohs(sk->dst_port);
	record = bpf_map_lookup_elem(&flows, &key);
	if (!record) {
		bpf_set_retval(-ENOENT);
		return ALLOW;
	}
	__builtin_memcpy(out, record, sizeof(*out));
	forget_flow(&key);
	ctx->optlen = sizeof(*out);
	bpf_set_retval(0);
	return ALLOW;
}

SEC("cgroup/getsockopt")
int sg_getsockopt(struct bpf_sockopt *ctx)
{
	if (ctx->level == SOL_SPENDGATE && ctx->optname == SG_FLOW)
		return answer_flow(ctx);
	/* More than a page can't be looked at here: leave the kernel's answer as it is. */
	if (ctx->optlen > 4096)
		ctx->optlen = 0;
	return ALLOW;
}
