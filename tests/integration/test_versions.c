// SPDX-License-Identifier: Apache-2.0
// Pins of another version: agents stay fenced by them until the new hooks are there, also where
// warden was killed on the way (docs/decisions/0011-pins-of-another-layout.md).
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cmocka.h>

#include "scene.h"

static void connect_and_read(const struct scene *scene, const void *text)
{
	int fd = CHECK_OK(dial(text, 443));

	(void)scene;
	check_peer(fd, text, 443);
	read_word(fd);
}

static void expect_redirected(const struct scene *scene, const char *text, int listener)
{
	pid_t pid = scene_agent(scene, scene->agent_fd, connect_and_read, text);

	CHECK(scene_serve(listener).agent_id == AGENT);
	scene_join(pid);
}

static bool is_there(const struct scene *scene, const char *below)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", scene->pins, below);
	return access(path, F_OK) == 0;
}

// As if an earlier version had had a smaller record.
static void pin_another_layout(const struct scene *scene)
{
	char path[PATH_MAX];
	int fd = CHECK_OK(bpf_map_create(BPF_MAP_TYPE_HASH, "flows", 32, 16, 64, NULL));

	snprintf(path, sizeof(path), "%s/maps/flows", scene->pins);
	CHECK_SYS(unlink(path));
	CHECK_OK(bpf_obj_pin(fd, path));
	close(fd);
}

static void reopen(struct scene *scene)
{
	sg_redirect_close(scene->redirect);
	CHECK_OK(sg_redirect_open(scene->pins, &scene->redirect, &scene->error));
}

// The fence of before holds and works until the new one does; what nobody knows stays fenced.
static void play_another_layout(struct scene *scene)
{
	int unknown_fd = scene_cgroup(scene, "unknown");

	CHECK_OK(sg_redirect_attach_agent(scene->redirect, unknown_fd, AGENT + 1, &scene->error));
	pin_another_layout(scene);
	reopen(scene);
	CHECK(sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK(!is_there(scene, "agents/7"));
	expect_redirected(scene, PUBLIC4, scene->listener4);

	CHECK_OK(sg_redirect_attach_service(scene->redirect, scene->service_fd, &scene->error));
	CHECK_OK(sg_redirect_set_listener(
		scene->redirect, scene->netns_cookie, scene->port4, scene->port6));
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK(!sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK(!is_there(scene, "before/service"));
	expect_redirected(scene, PUBLIC4, scene->listener4);

	CHECK(sg_redirect_forget_before(scene->redirect) == 1);
	CHECK(is_there(scene, "before/agents/8/sg_connect4"));
	// A third layout has no place to go.
	pin_another_layout(scene);
	scene->redirect = sg_redirect_close(scene->redirect);
	CHECK(sg_redirect_open(scene->pins, &scene->redirect, &scene->error) == -EPROTO);
	CHECK(is_there(scene, "agents/7/sg_connect4"));
	CHECK(is_there(scene, "before/agents/8/sg_connect4"));
	CHECK_OK(sg_redirect_remove_all(scene->pins));
	CHECK(!is_there(scene, ""));
	close(unknown_fd);
}

static void pins_of_another_layout_hold_until_they_are_replaced(void **state)
{
	(void)state;
	scene_run(play_another_layout);
}

static void move_pins(const struct scene *scene, const char *from_below, const char *to_below)
{
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(from, sizeof(from), "%s/%s", scene->pins, from_below);
	snprintf(to, sizeof(to), "%s/%s", scene->pins, to_below);
	CHECK_SYS(rename(from, to));
}

static int open_link(const struct scene *scene, const char *directory, const char *hook)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", scene->pins, directory, hook);
	return CHECK_OK(bpf_obj_get(path));
}

static void end_link(const struct scene *scene, const char *directory, const char *hook)
{
	int fd = open_link(scene, directory, hook);
	char path[PATH_MAX];

	CHECK_OK(bpf_link_detach(fd));
	close(fd);
	snprintf(path, sizeof(path), "%s/%s/%s", scene->pins, directory, hook);
	CHECK_SYS(unlink(path));
}

static uint32_t link_id(const struct scene *scene, const char *directory, const char *hook)
{
	int fd = open_link(scene, directory, hook);
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);

	CHECK_OK(bpf_obj_get_info_by_fd(fd, &info, &length));
	close(fd);
	return info.id;
}

// As a warden leaves it that is killed when the new hooks are attached: those of before are there.
static void break_off_upgrade(struct scene *scene)
{
	pin_another_layout(scene);
	reopen(scene);
	move_pins(scene, "before/service", "before/kept");
	CHECK_OK(sg_redirect_attach_service(scene->redirect, scene->service_fd, &scene->error));
	move_pins(scene, "before/kept", "before/service");
	CHECK_OK(sg_redirect_set_listener(
		scene->redirect, scene->netns_cookie, scene->port4, scene->port6));
	move_pins(scene, "before/agents/7", "before/agents/kept");
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	move_pins(scene, "before/agents/kept", "before/agents/7");
}

static void see_alive(void *context, uint32_t agent_id, uint64_t cgroup_id, bool alive)
{
	unsigned *visits = context;

	CHECK(agent_id == AGENT);
	CHECK(cgroup_id != 0);
	CHECK(alive);
	++*visits;
}

static void go_on_with_upgrade(struct scene *scene)
{
	unsigned visits = 0;

	reopen(scene);
	CHECK_OK(sg_redirect_attach_service(scene->redirect, scene->service_fd, &scene->error));
	CHECK(!is_there(scene, "before/service"));
	// Fenced, whichever of the two does it.
	CHECK_OK(sg_redirect_each_agent(scene->redirect, see_alive, &visits));
	CHECK(visits == 2);
	CHECK(sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	CHECK(!sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK(sg_redirect_forget_before(scene->redirect) == 0);
	CHECK(!is_there(scene, "before"));
	expect_redirected(scene, PUBLIC4, scene->listener4);
	expect_redirected(scene, PUBLIC6, scene->listener6);
}

static const char *const hooks_in_order[] = { "sg_sockops", "sg_getpeername4", "sg_getpeername6",
	"sg_bind4", "sg_bind6", "sg_sendmsg4", "sg_sendmsg6", "sg_connect4", "sg_connect6" };

// The folder, and the first hooks in it, or none.
static void play_half_made(struct scene *scene, size_t made)
{
	break_off_upgrade(scene);
	scene_unregister(scene, scene->agent_fd);
	for (size_t i = made; i < SG_ARRAY_SIZE(hooks_in_order); i++)
		end_link(scene, "agents/7", hooks_in_order[i]);
	go_on_with_upgrade(scene);
	for (size_t i = 0; i < SG_ARRAY_SIZE(hooks_in_order); i++)
		close(open_link(scene, "agents/7", hooks_in_order[i]));
}

static void play_folder_only(struct scene *scene)
{
	play_half_made(scene, 0);
}

static void play_all_but_connect(struct scene *scene)
{
	play_half_made(scene, SG_ARRAY_SIZE(hooks_in_order) - 2);
}

static void play_all_but_the_last(struct scene *scene)
{
	play_half_made(scene, SG_ARRAY_SIZE(hooks_in_order) - 1);
}

static void play_not_registered(struct scene *scene)
{
	play_half_made(scene, SG_ARRAY_SIZE(hooks_in_order));
}

// Of the fence before some hooks are gone: only the new one holds, and is not touched.
static void play_half_detached(struct scene *scene)
{
	uint32_t id;

	break_off_upgrade(scene);
	end_link(scene, "before/agents/7", "sg_connect4");
	end_link(scene, "before/agents/7", "sg_connect6");
	id = link_id(scene, "agents/7", "sg_connect4");
	go_on_with_upgrade(scene);
	CHECK(link_id(scene, "agents/7", "sg_connect4") == id);
}

static void an_upgrade_that_was_killed_goes_on(void **state)
{
	(void)state;
	scene_run(play_folder_only);
	scene_run(play_all_but_connect);
	scene_run(play_all_but_the_last);
	scene_run(play_not_registered);
	scene_run(play_half_detached);
}

// ---- The way back ----

int __real_bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton);
int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton);

// Loads from here on that the kernel refuses once the first has found another layout: 0, none.
static unsigned loads, refused_load;

int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton)
{
	return ++loads == refused_load ? -ENOMEM : __real_bpf_object__load_skeleton(skeleton);
}

// Neither the pins nor a new object can be used: all is as it was, and goes on.
static void play_put_back(struct scene *scene)
{
	pin_another_layout(scene);
	scene->redirect = sg_redirect_close(scene->redirect);
	loads = 0;
	refused_load = 2;
	CHECK(sg_redirect_open(scene->pins, &scene->redirect, &scene->error) == -ENOMEM);
	CHECK(loads == 2);
	CHECK(!is_there(scene, "before"));
	for (size_t i = 0; i < SG_ARRAY_SIZE(hooks_in_order); i++)
		close(open_link(scene, "agents/7", hooks_in_order[i]));
	CHECK(is_there(scene, "service/sg_getsockopt"));
	CHECK(is_there(scene, "maps/flows"));
	CHECK(is_there(scene, "maps/listeners"));
	expect_redirected(scene, PUBLIC4, scene->listener4);
	expect_redirected(scene, PUBLIC6, scene->listener6);
	// And the next start sets them aside, as if there had been none.
	refused_load = 0;
	CHECK_OK(sg_redirect_open(scene->pins, &scene->redirect, &scene->error));
	CHECK(sg_redirect_is_set_aside(scene->redirect, AGENT));
	CHECK_OK(sg_redirect_attach_service(scene->redirect, scene->service_fd, &scene->error));
	CHECK_OK(sg_redirect_set_listener(
		scene->redirect, scene->netns_cookie, scene->port4, scene->port6));
	CHECK_OK(sg_redirect_attach_agent(scene->redirect, scene->agent_fd, AGENT, &scene->error));
	expect_redirected(scene, PUBLIC4, scene->listener4);
}

static void what_can_be_neither_adopted_nor_replaced_is_put_back(void **state)
{
	(void)state;
	scene_run(play_put_back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_of_another_layout_hold_until_they_are_replaced),
		cmocka_unit_test(an_upgrade_that_was_killed_goes_on),
		cmocka_unit_test(what_can_be_neither_adopted_nor_replaced_is_put_back),
	};

	return cmocka_run_group_tests(tests, scene_check_machine, NULL);
}
