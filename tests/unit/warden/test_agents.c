// SPDX-License-Identifier: Apache-2.0
// When the end of an agent is believed. Registration and the fence itself: tests/e2e.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "warden/warden.h"

// Of a group whose events can't be read: a directory gives EISDIR.
static struct sg_warden_agent *unreadable_agent(struct sg_warden *warden, const char *kind)
{
	struct sg_warden_agent *agent = calloc(1, sizeof(*agent));

	assert_non_null(agent);
	agent->watch.fd = -1;
	agent->warden = warden;
	agent->id = 1;
	agent->cgroup_fd = -1;
	agent->events_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	agent->cgroup_path = strdup("/nowhere");
	agent->definition = json_pack("{s:s, s:b}", "name", "a", kind, 1);
	assert_true(agent->events_fd >= 0 && agent->cgroup_path && agent->definition);
	warden->agents = agent;
	return agent;
}

static void test_unreadable_is_not_gone(void **state)
{
	static const char *const kinds[] = { "plain", "guard" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sg_warden warden = { .run_directory = "/nowhere" };
		struct sg_warden_agent *agent = unreadable_agent(&warden, kinds[i]);

		assert_int_equal(sg_loop_new(&warden.loop), 0);
		sg_agents_release_agent(&warden, agent);
		assert_ptr_equal(warden.agents, agent);
		sg_agents_free_all(&warden);
		sg_loop_free(warden.loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unreadable_is_not_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
