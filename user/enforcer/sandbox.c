// SPDX-License-Identifier: Apache-2.0
#include "enforcer/sandbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <seccomp.h>

// Whatever their arguments: the kernel answers these from a bitmap, without running the filter.
static const int calls[] = {
	// connections and the loop
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(eventfd2),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(pipe2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(splice),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	// files: bodies that spill, journal and ledger, certificates that OpenSSL looks up
	SCMP_SYS(access),
	SCMP_SYS(close),
	SCMP_SYS(dup),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(fallocate),
	SCMP_SYS(fchmod),
	SCMP_SYS(fcntl),
	SCMP_SYS(fdatasync),
	SCMP_SYS(flock),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fsync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(lseek),
	SCMP_SYS(lstat),
	SCMP_SYS(memfd_create),
	SCMP_SYS(mkdir),
	SCMP_SYS(msync),
	SCMP_SYS(newfstatat),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(readlink),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(stat),
	SCMP_SYS(statfs),
	SCMP_SYS(statx),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(utimensat),
	// memory and threads
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(madvise),
	SCMP_SYS(membarrier),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_yield),
	SCMP_SYS(set_robust_list),
	// signals, time, chance, the end
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(getegid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getuid),
	SCMP_SYS(nanosleep),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(signalfd4),
	SCMP_SYS(sysinfo),
	SCMP_SYS(time),
	SCMP_SYS(uname),
#ifdef SG_UNDER_SANITIZER
	// Their runtime maps what it likes; the search for leaks at the end lists all threads, and
	// stops them from a process of its own.
	SCMP_SYS(clone),
	SCMP_SYS(getdents),
	SCMP_SYS(getppid),
	SCMP_SYS(ioctl),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(prctl),
	SCMP_SYS(prlimit64),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(ptrace),
	SCMP_SYS(tgkill),
	SCMP_SYS(wait4),
#endif
};

static int allow_calls(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

#define TYPE_MASK 0xf // SOCK_NONBLOCK and SOCK_CLOEXEC are flags of the type

// With the arguments that they may have.
static int allow_narrowed(scmp_filter_ctx filter)
{
	const struct {
		int call;
		unsigned count;
		struct scmp_arg_cmp arguments[2]; // index, comparison, value or mask, value
	} rows[] = {
		{ SCMP_SYS(socket), 2,
			{ { 0, SCMP_CMP_EQ, AF_INET, 0 },
				{ 1, SCMP_CMP_MASKED_EQ, TYPE_MASK, SOCK_STREAM } } },
		{ SCMP_SYS(socket), 2,
			{ { 0, SCMP_CMP_EQ, AF_INET6, 0 },
				{ 1, SCMP_CMP_MASKED_EQ, TYPE_MASK, SOCK_STREAM } } },
		{ SCMP_SYS(socket), 2,
			{ { 0, SCMP_CMP_EQ, AF_UNIX, 0 },
				{ 1, SCMP_CMP_MASKED_EQ, TYPE_MASK, SOCK_SEQPACKET } } },
#ifndef SG_UNDER_SANITIZER
		// Nothing that was written can be executed.
		{ SCMP_SYS(mmap), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
		{ SCMP_SYS(mprotect), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
		{ SCMP_SYS(prctl), 1, { { 0, SCMP_CMP_EQ, PR_SET_NAME, 0 } } },
		// abort()
		{ SCMP_SYS(tgkill), 1, { { 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0 } } },
		// Its own limits may be read.
		{ SCMP_SYS(prlimit64), 2, { { 0, SCMP_CMP_EQ, 0, 0 }, { 2, SCMP_CMP_EQ, 0, 0 } } },
#endif
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(rows); i++)
		r = seccomp_rule_add_array(
			filter, SCMP_ACT_ALLOW, rows[i].call, rows[i].count, rows[i].arguments);
	return r;
}

// The attributes: every thread, a line in the kernel's log, a search tree in place of a list.
static int configure(scmp_filter_ctx filter)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

int sg_sandbox_enter(struct sg_error *error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = filter ? configure(filter) : -ENOMEM;

	if (r == 0)
		r = allow_calls(filter);
	if (r == 0)
		r = allow_narrowed(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? sg_error_set(error, r,
			       "seccomp: %s (the kernel needs CONFIG_SECCOMP_FILTER)", strerror(-r))
		     : 0;
}
