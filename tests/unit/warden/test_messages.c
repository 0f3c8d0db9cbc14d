// SPDX-License-Identifier: Apache-2.0
// What an enforcer that has just come up is told: everything, however much it is, and in an order
// in which it takes no connection of an agent that it does not know yet.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "warden/warden.h"

#define MANY 3000 // more than the socket holds

// The linker puts it in the place of the real one.
bool __wrap_sg_redirect_is_cut(const struct sg_redirect *redirect, uint32_t agent_id);
bool __wrap_sg_redirect_is_cut(const struct sg_redirect *redirect, uint32_t agent_id)
{
	(void)redirect;
	(void)agent_id;
	return false;
}

struct stage {
	char directory[64]; // of the CA
	struct sg_warden warden;
	int enforcer_fd;
};

static int set_stage(void **state)
{
	static const char *const hosts[] = { "api.openai.com", NULL };
	struct stage *stage = calloc(1, sizeof(*stage));
	struct sg_error error;
	int pair[2];

	assert_non_null(stage);
	strcpy(stage->directory, "/tmp/spendgate-messages-XXXXXX");
	assert_non_null(mkdtemp(stage->directory));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sg_fd_set_nonblocking(pair[0]), 0);
	stage->enforcer_fd = pair[1];
	stage->warden.run_directory = "/nowhere";
	stage->warden.enforcer_watch.fd = pair[0];
	stage->warden.config = json_object();
	assert_int_equal(sg_ca_open(stage->directory, hosts, &stage->warden.ca, &error), 0);
	*state = stage;
	return 0;
}

static int clear_stage(void **state)
{
	struct stage *stage = *state;
	char command[128];

	close(stage->warden.enforcer_watch.fd);
	if (stage->enforcer_fd >= 0)
		close(stage->enforcer_fd);
	sg_ca_close(stage->warden.ca);
	json_decref(stage->warden.config);
	snprintf(command, sizeof(command), "rm -rf %s", stage->directory);
	free(stage);
	return system(command);
}

static enum sg_channel_type receive(int fd)
{
	struct sg_channel_message message;

	assert_int_equal(sg_channel_receive(fd, &message), 1);
	for (unsigned i = 0; i < message.fd_count; i++)
		close(message.fds[i]);
	return (enum sg_channel_type)message.header.type;
}

static void agents_are_told_before_listeners(void **state)
{
	static const enum sg_channel_type wanted[] = { SG_CHANNEL_CA, SG_CHANNEL_CONFIG,
		SG_CHANNEL_AGENT, SG_CHANNEL_AGENT, SG_CHANNEL_LISTENER };
	struct sg_channel_message ready = { .header.type = SG_CHANNEL_READY };
	struct stage *stage = *state;
	struct sg_warden *warden = &stage->warden;
	struct sg_namespace namespace = { .users = 2, .fds = { -1, -1 } };
	struct sg_warden_agent agents[2] = { { .id = 1, .warden = warden, .next = &agents[1] },
		{ .id = 2, .warden = warden } };

	for (int i = 0; i < 2; i++)
		agents[i].definition = json_pack("{s:s}", "name", "writer");
	warden->agents = agents;
	warden->namespaces.first = &namespace;
	sg_enforcer_take(warden, &ready);
	assert_true(warden->enforcer_ready);
	for (size_t i = 0; i < SG_ARRAY_SIZE(wanted); i++)
		assert_int_equal(receive(stage->enforcer_fd), wanted[i]);
	for (int i = 0; i < 2; i++)
		json_decref(agents[i].definition);
}

// Begins to read when the socket is full.
static void *read_slowly(void *context)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	static unsigned count;
	struct sg_channel_message message;
	const int *fd = context;

	count = 0;
	nanosleep(&pause, NULL);
	while (sg_channel_receive(*fd, &message) == 1)
		count++;
	return &count;
}

static void an_enforcer_that_is_behind_misses_nothing(void **state)
{
	struct stage *stage = *state;
	pthread_t reader;
	void *count;

	assert_int_equal(pthread_create(&reader, NULL, read_slowly, &stage->enforcer_fd), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		struct sg_channel_agent gone = { .agent_id = i };

		sg_enforcer_tell(
			&stage->warden, SG_CHANNEL_AGENT_GONE, &gone, sizeof(gone), NULL, 0);
	}
	assert_int_equal(shutdown(stage->warden.enforcer_watch.fd, SHUT_WR), 0);
	assert_int_equal(pthread_join(reader, &count), 0);
	assert_int_equal(*(unsigned *)count, MANY);
}

static void *answer_slowly(void *context)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	struct sg_channel_message message;
	const int *fd = context;

	nanosleep(&pause, NULL);
	while (sg_channel_receive(*fd, &message) == 1)
		if (message.header.type == SG_CHANNEL_STATUS &&
			sg_channel_send(*fd, SG_CHANNEL_STATUS_RESULT, message.header.id, 0, NULL,
				0, NULL, 0) == 0)
			return NULL;
	return NULL;
}

static void an_enforcer_that_is_behind_is_asked_all_the_same(void **state)
{
	struct stage *stage = *state;
	struct sg_warden *warden = &stage->warden;
	struct sg_channel_message answer;
	pthread_t reader;

	warden->enforcer_ready = true;
	warden->enforcer_listen_fd = -1;
	while (sg_channel_send(warden->enforcer_watch.fd, SG_CHANNEL_AGENT_GONE, 0, 0, NULL, 0,
		       NULL, 0) == 0)
		;
	assert_int_equal(pthread_create(&reader, NULL, answer_slowly, &stage->enforcer_fd), 0);
	assert_int_equal(sg_enforcer_ask(warden, SG_CHANNEL_STATUS, NULL, 0, &answer), 0);
	assert_int_equal(answer.header.type, SG_CHANNEL_STATUS_RESULT);
	assert_int_equal(pthread_join(reader, NULL), 0);
}

// Once all is taken over, an enforcer has nothing to hand over any more.
static void listeners_are_taken_over_at_the_start_only(void **state)
{
	struct sg_channel_listener listener = { .netns_cookie = 7 };
	struct sg_channel_message held = { .header = { .type = SG_CHANNEL_HELD,
						   .length = sizeof(listener) } };
	struct stage *stage = *state;

	memcpy(held.payload, &listener, sizeof(listener));
	stage->warden.is_settled = true;
	sg_enforcer_take(&stage->warden, &held);
	assert_null(stage->warden.namespaces.first);
	stage->warden.is_settled = false;
	sg_enforcer_take(&stage->warden, &held);
	assert_non_null(stage->warden.namespaces.first);
	sg_namespaces_done(&stage->warden.namespaces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			agents_are_told_before_listeners, set_stage, clear_stage),
		cmocka_unit_test_setup_teardown(
			an_enforcer_that_is_behind_misses_nothing, set_stage, clear_stage),
		cmocka_unit_test_setup_teardown(
			an_enforcer_that_is_behind_is_asked_all_the_same, set_stage, clear_stage),
		cmocka_unit_test_setup_teardown(
			listeners_are_taken_over_at_the_start_only, set_stage, clear_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
