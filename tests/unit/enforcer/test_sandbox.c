// SPDX-License-Identifier: Apache-2.0
// The list of system calls: in a process of its own each time, since there is no way back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/attr.h"
#include "enforcer/sandbox.h"

// Clean exit codes of the child; anything else is a signal.
enum { DONE = 0, NOT_ENTERED = 2, FAILED = 3 };

typedef bool (*act_fn)(void);

// How a process ends that enters the sandbox and then acts.
static int status_of(act_fn act)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };
		struct sg_error error;

		// Root's files are chowned by SQLite; the enforcer is never root.
		if (setrlimit(RLIMIT_CORE, &no_core) < 0 || (geteuid() == 0 && setuid(65534) < 0) ||
			sg_sandbox_enter(&error) < 0)
			_exit(NOT_ENTERED);
		_exit(act() ? DONE : FAILED);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

// ---- What is forbidden ----

static bool executes(void)
{
	char *const none[] = { NULL };

	return execv("/bin/true", none) == 0;
}

static bool makes_a_process(void)
{
	return syscall(SYS_vfork) >= 0;
}

static bool opens_a_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool opens_a_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_TCP) >= 0;
}

static bool opens_a_datagram_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}

static bool listens(void)
{
	return listen(0, 1) == 0;
}

static bool signals_another(void)
{
	return kill(getpid(), 0) == 0;
}

static bool makes_a_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool mounts(void)
{
	return mount("none", "/", "tmpfs", 0, NULL) == 0;
}

static bool calls_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) >= 0;
}

static bool uses_io_uring(void)
{
	struct io_uring_params parameters = { 0 };

	return syscall(SYS_io_uring_setup, 1, &parameters) >= 0;
}

#ifndef SG_UNDER_SANITIZER
static bool maps_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0) != MAP_FAILED;
}

static bool traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0;
}
#endif

static void a_forbidden_call_ends_the_process(void **state)
{
	static const struct {
		const char *name;
		act_fn act;
	} rows[] = {
		{ "execve", executes },
		{ "vfork", makes_a_process },
		{ "socket(AF_PACKET)", opens_a_packet_socket },
		{ "socket(SOCK_RAW)", opens_a_raw_socket },
		{ "socket(SOCK_DGRAM)", opens_a_datagram_socket },
		{ "listen", listens },
		{ "kill", signals_another },
		{ "unshare", makes_a_namespace },
		{ "mount", mounts },
		{ "bpf", calls_bpf },
		{ "io_uring_setup", uses_io_uring },
#ifndef SG_UNDER_SANITIZER
		{ "mmap(PROT_EXEC)", maps_code },
		{ "ptrace", traces },
#endif
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		int status = status_of(rows[i].act);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x", rows[i].name, status);
	}
}

// ---- What goes on ----

static bool works(void)
{
	static char template[] = "/tmp/spendgate-sandbox-XXXXXX";
	int memory = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int stream = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int file = mkstemp(template);
	sqlite3 *database = NULL;
	bool ok = memory >= 0 && stream >= 0 && file >= 0;

	ok = ok && fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == 0;
	ok = ok && unlink(template) == 0;
	ok = ok && sqlite3_open(template, &database) == SQLITE_OK;
	ok = ok && sqlite3_exec(database,
			   "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1); "
			   "PRAGMA wal_checkpoint(TRUNCATE)",
			   NULL, NULL, NULL) == SQLITE_OK;
	ok = sqlite3_close(database) == SQLITE_OK && ok;
	unlink(template);
	return ok;
}

static void what_the_enforcer_does_goes_on(void **state)
{
	(void)state;
	assert_int_equal(status_of(works), DONE);
}

static void *forbidden_in_a_thread(void *context)
{
	pthread_barrier_wait(context); // running
	pthread_barrier_wait(context); // the sandbox is entered
	kill(getpid(), 0);
	return NULL;
}

static void threads_that_run_already_are_in_it(void **state)
{
	pid_t pid = fork();
	int status = 0;

	(void)state;
	if (pid == 0) {
		pthread_barrier_t barrier;
		struct sg_error error;
		pthread_t thread;

		pthread_barrier_init(&barrier, NULL, 2);
		if (pthread_create(&thread, NULL, forbidden_in_a_thread, &barrier) != 0)
			_exit(FAILED);
		pthread_barrier_wait(&barrier);
		if (sg_sandbox_enter(&error) < 0)
			_exit(NOT_ENTERED);
		pthread_barrier_wait(&barrier);
		pthread_join(thread, NULL);
		_exit(DONE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forbidden_call_ends_the_process),
		cmocka_unit_test(what_the_enforcer_does_goes_on),
		cmocka_unit_test(threads_that_run_already_are_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
