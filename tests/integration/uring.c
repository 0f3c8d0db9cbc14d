// SPDX-License-Identifier: Apache-2.0
// One operation through io_uring, by system calls: the ring is set up, used once and torn down.
#include "scene.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define OP_SOCKET 45 // IORING_OP_SOCKET, which headers have from Linux 5.19 on

struct ring {
	int fd;
	struct io_uring_params parameters;
	unsigned char *submissions, *completions;
	struct io_uring_sqe *entries;
};

static void *map_ring(const struct ring *ring, size_t size, off_t offset)
{
	void *memory = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, offset);

	CHECK(memory != MAP_FAILED);
	return memory;
}

static void open_ring(struct ring *ring)
{
	const struct io_uring_params *parameters = &ring->parameters;

	ring->fd = (int)CHECK_SYS(syscall(SYS_io_uring_setup, 1, &ring->parameters));
	ring->submissions =
		map_ring(ring, parameters->sq_off.array + parameters->sq_entries * sizeof(unsigned),
			IORING_OFF_SQ_RING);
	ring->completions = map_ring(ring,
		parameters->cq_off.cqes + parameters->cq_entries * sizeof(struct io_uring_cqe),
		IORING_OFF_CQ_RING);
	ring->entries = map_ring(
		ring, parameters->sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
}

// Submits one entry and waits for what comes of it.
static int perform(const struct io_uring_sqe *entry)
{
	struct ring ring = { .fd = -1 };
	const struct io_uring_cqe *done;
	unsigned *tail;

	open_ring(&ring);
	ring.entries[0] = *entry;
	((unsigned *)(ring.submissions + ring.parameters.sq_off.array))[0] = 0;
	tail = (unsigned *)(ring.submissions + ring.parameters.sq_off.tail);
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	CHECK_SYS(syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	done = (const struct io_uring_cqe *)(ring.completions + ring.parameters.cq_off.cqes);
	close(ring.fd);
	return done->res;
}

int connect_with_io_uring(int fd, const struct sockaddr *address, socklen_t length)
{
	return perform(&(struct io_uring_sqe){
		.opcode = IORING_OP_CONNECT,
		.fd = fd,
		.addr = (uintptr_t)address,
		.off = length,
	});
}

int socket_with_io_uring(int family, int type)
{
	return perform(&(struct io_uring_sqe){
		.opcode = OP_SOCKET,
		.flags = IOSQE_ASYNC,
		.fd = family,
		.off = (unsigned)type,
	});
}

int send_with_io_uring(int fd, const struct msghdr *message)
{
	return perform(&(struct io_uring_sqe){
		.opcode = IORING_OP_SENDMSG,
		.fd = fd,
		.addr = (uintptr_t)message,
		.len = 1,
	});
}
