// SPDX-License-Identifier: Apache-2.0
// Network namespaces that agents live in: one listener pair each, shared by the agents of a
// namespace, and sockets made inside on request. Main thread.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "redirect/redirect.h"
#include "spendgate/channel.h"

struct sg_namespace {
	struct sg_namespace *next;
	int netns_fd; // keeps it alive
	int fds[2];   // listeners on 127.0.0.1 and ::1; -1: none
	struct sg_channel_listener listener;
	unsigned users;
};

struct sg_namespaces {
	struct sg_redirect *redirect;
	struct sg_namespace *first;
};

// The cookie of a namespace. Returns 0 or -errno.
int sg_namespace_cookie(int netns_fd, uint64_t *ret_cookie) SG_WUNRES;

// Counts a user; the first opens the listeners (or takes what `sg_namespaces_adopt` left) and
// enters them into the BPF map.
int sg_namespaces_use(struct sg_namespaces *namespaces, int netns_fd,
	struct sg_namespace **ret_namespace, struct sg_error *error) SG_WUNRES;

// The last user closes it. *ret_gone tells the caller to tell the enforcer.
void sg_namespaces_release(struct sg_namespaces *namespaces, uint64_t netns_cookie, bool *ret_gone);

// Listeners that a running enforcer still holds (after a restart of the warden); takes the
// descriptors.
void sg_namespaces_adopt(
	struct sg_namespaces *namespaces, const struct sg_channel_listener *listener, int fds[2]);

// After adoption: closes the listeners that nobody uses, telling of each, and takes what the BPF
// map has of others out.
void sg_namespaces_forget_unused(struct sg_namespaces *namespaces,
	void (*tell)(void *context, const struct sg_channel_listener *listener), void *context);

// A TCP socket inside the namespace. Returns a descriptor or -errno.
int sg_namespaces_socket(
	struct sg_namespaces *namespaces, uint64_t netns_cookie, int family) SG_WUNRES;

// The namespace itself, as a descriptor of the table's. Returns -ENOENT: no agent is in it.
int sg_namespaces_fd(const struct sg_namespaces *namespaces, uint64_t netns_cookie) SG_WUNRES;

// No listener takes a connection any more, in whichever process: agents are refused at once.
void sg_namespaces_shut(const struct sg_namespaces *namespaces);

void sg_namespaces_done(struct sg_namespaces *namespaces);
