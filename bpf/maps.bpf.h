/* SPDX-License-Identifier: Apache-2.0
 * Every map, once. Who writes and reads which is told in spendgate/abi.h.
 */
#ifndef SPENDGATE_MAPS_BPF_H
#define SPENDGATE_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "spendgate/abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct sg_agent_slot);
} agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SG_MAX_NETNS);
	__type(key, __u64);
	__type(value, struct sg_listener);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, SG_MAX_DIRECT);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sg_direct_key);
	__type(value, __u8);
} direct SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SG_MAX_ENDPOINTS);
	__type(key, struct sg_endpoint);
	__type(value, __u8);
} endpoints SEC(".maps");

/* What a socket was rewritten to, beside the record: an outer agent's hook of a nested cgroup must
 * recognise it. */
struct sg_socket {
	struct sg_flow_record record;
	__u32 redirected;
	__u32 port; /* of the listener, host order */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sg_socket);
} sockets SEC(".maps");

/* Never LRU: an evicted entry would be a connection whose agent is unknown. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SG_MAX_FLOWS);
	__type(key, struct sg_flow_key);
	__type(value, struct sg_flow_record);
} flows SEC(".maps");

/* How many of them are one agent's: it can't fill the map for the others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SG_MAX_AGENTS);
	__type(key, __u32); /* agent id */
	__type(value, __s32);
} pending_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SG_MAX_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

#endif
