/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent that is cut off still has of the network: nothing. The hooks of redirect.bpf.c
 * refuse its connects; these drop the packets of the sockets that it has, whatever they are, and
 * let only resets through, so that who is at the other end learns of it. Attached while an agent is
 * cut off, so that nobody else pays for them.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ALLOW 1
#define DROP  0

#define IPV4_PROTOCOL	 9
#define IPV6_NEXT_HEADER 6
#define IPV6_HEADER	 40
#define TCP_FLAGS	 13
#define TCP_RESET	 0x04

char _license[] SEC("license") = "GPL";

/* What can't be read is 0, which is neither TCP nor a reset. */
static __always_inline __u8 byte_at(struct __sk_buff *packet, __u32 offset)
{
	__u8 byte = 0;

	if (bpf_skb_load_bytes(packet, offset, &byte, 1) < 0)
		return 0;
	return byte;
}

static __always_inline int pass_resets(struct __sk_buff *packet)
{
	__u32 header = IPV6_HEADER;
	__u8 protocol;

	if (packet->protocol == bpf_htons(ETH_P_IP)) {
		header = (byte_at(packet, 0) & 0x0f) * 4;
		protocol = byte_at(packet, IPV4_PROTOCOL);
	} else {
		protocol = byte_at(packet, IPV6_NEXT_HEADER);
	}
	if (protocol == IPPROTO_TCP && byte_at(packet, header + TCP_FLAGS) & TCP_RESET)
		return ALLOW;
	return DROP;
}

SEC("cgroup_skb/egress")
int sg_cut_egress(struct __sk_buff *packet)
{
	return pass_resets(packet);
}

SEC("cgroup_skb/ingress")
int sg_cut_ingress(struct __sk_buff *packet)
{
	return pass_resets(packet);
}
