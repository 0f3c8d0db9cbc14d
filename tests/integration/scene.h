// SPDX-License-Identifier: Apache-2.0
// A stage for one test of the redirect module: a process with its own network namespace (loopback
// only, no route out, so that a redirect that fails has nowhere to go), a service cgroup that it
// lives in, listeners, and a folder of pins. The parent removes all of it, whatever the test did.
// Checks in it end the process: cmocka's own assertions can't leave a forked child.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/attr.h"
#include "redirect/redirect.h"

#define AGENT	    7		  // the usual agent's id
#define PUBLIC4	    "203.0.113.7" // RFC 5737
#define PUBLIC6	    "2001:db8::7" // RFC 3849
#define MAPPED4	    "::ffff:203.0.113.7"
#define SERVER_WORD "served"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			scene_fail(__FILE__, __LINE__, #condition);                                \
	} while (0)

// For calls that return 0 or more, or -errno.
#define CHECK_OK(call)                                                                             \
	({                                                                                         \
		__typeof__(call) sg_result_ = (call);                                              \
		if (sg_result_ < 0)                                                                \
			scene_fail_code(__FILE__, __LINE__, #call, (int)sg_result_);               \
		sg_result_;                                                                        \
	})

// For system calls: -1 and errno.
#define CHECK_SYS(call)                                                                            \
	({                                                                                         \
		__typeof__(call) sg_result_ = (call);                                              \
		if (sg_result_ < 0)                                                                \
			scene_fail_code(__FILE__, __LINE__, #call, -errno);                        \
		sg_result_;                                                                        \
	})

_Noreturn void scene_fail(const char *file, int line, const char *what);
_Noreturn void scene_fail_code(const char *file, int line, const char *what, int code);

struct scene {
	char cgroup[512]; // the test's own group: service, agent and what the test adds
	char pins[128];
	struct sg_redirect *redirect;
	struct sg_error error;
	int service_fd, agent_fd; // cgroups
	int listener4, listener6;
	uint16_t port4, port6;
	uint64_t netns_cookie;
};

typedef void (*scene_fn)(struct scene *scene);
typedef void (*agent_fn)(const struct scene *scene, const void *argument);

// Runs `body` on a bare stage (no object loaded, nothing attached), and fails the cmocka test when
// it does.
void scene_run_bare(scene_fn body);
// With the object loaded, the service hook attached, both listeners registered, AGENT attached.
void scene_run(scene_fn body);

// The usual stage, step by step, for tests that start bare.
void scene_open(struct scene *scene);
void scene_listen(struct scene *scene);
void scene_attach(struct scene *scene);

// The group setup of each test program: fails with the reason when this machine can't run it.
int scene_check_machine(void **state);

// A cgroup below the scene's; closed by the end of the process.
int scene_cgroup(const struct scene *scene, const char *name);

// A process in a cgroup that runs `agent` and exits with 0. Waits for it in scene_join.
pid_t scene_agent(const struct scene *scene, int cgroup_fd, agent_fn agent, const void *argument);
void scene_join(pid_t pid);
// Both, for what needs no one at the listener.
void scene_act(const struct scene *scene, agent_fn agent, const void *argument);

// The next connection of a listener, its record, and the word that lets its client end.
int scene_accept(int listener);
int scene_flow(int fd, struct sg_flow_record *ret_record); // 0 or -errno
struct sg_flow_record scene_serve(int listener);

// The entries of the map `flows`; and the map full of junk, and rid of it.
unsigned scene_flow_entries(const struct scene *scene);
void scene_fill_flows(const struct scene *scene);
void scene_empty_flows(const struct scene *scene);
// An agent as it is between attach and registration.
void scene_unregister(const struct scene *scene, int cgroup_fd);

uint64_t scene_count(const struct scene *scene, enum sg_reason reason);

// ---- Sockets, for both sides ----

int loopback_up(void); // of a network namespace that is new; 0 or -errno

struct sockaddr_in6 make_address(const char *text, uint16_t port); // IPv4 as sockaddr_in in it
socklen_t address_length(const struct sockaddr_in6 *address);
int family_of(const char *text);
void mapped_bytes(const char *text, uint8_t ret_address[16]);
// A socket of the address' family and its connect(). Returns the descriptor or -errno.
int dial(const char *text, uint16_t port);
int redial(int fd, const char *text, uint16_t port); // 0 or -errno, after connect(AF_UNSPEC)
// connect(), socket() and sendmsg() through io_uring, the second by a thread of the kernel. As
// those, or -errno.
int connect_with_io_uring(int fd, const struct sockaddr *address, socklen_t length);
int socket_with_io_uring(int family, int type);
int send_with_io_uring(int fd, const struct msghdr *message);
int listen_on(const char *text, uint16_t *port); // 0: the kernel chooses
void read_word(int fd);				 // what scene_serve() sends
// A descriptor through a Unix socket.
void send_descriptor(int channel, int fd);
int receive_descriptor(int channel);
// getpeername() says this address.
void check_peer(int fd, const char *text, uint16_t port);
