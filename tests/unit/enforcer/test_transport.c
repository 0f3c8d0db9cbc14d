// SPDX-License-Identifier: Apache-2.0
// How much a connection gives at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/limits.h"
#include "enforcer/transport.h"

#define PIECE_BYTES 4096
#define TURNS	    3

static struct sg_loop *loop;
static struct sg_transport transport;
static char piece[PIECE_BYTES];
static int sender;
static size_t given[TURNS];
static unsigned turn;

static int make_loop(void **state)
{
	(void)state;
	turn = 0;
	memset(given, 0, sizeof(given));
	return sg_loop_new(&loop);
}

static int free_loop(void **state)
{
	(void)state;
	loop = sg_loop_free(loop);
	return 0;
}

static void run_with(sg_watch_fn on_event)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	sender = fds[1];
	assert_int_equal(send(sender, piece, PIECE_BYTES, 0), PIECE_BYTES);
	assert_int_equal(sg_transport_open(&transport, loop, fds[0], on_event), 0);
	assert_int_equal(sg_loop_run(loop), 0);
	sg_transport_close(&transport);
	close(sender);
}

static void end_turn(void)
{
	if (++turn == TURNS)
		sg_loop_stop(loop);
}

// The other end sends as fast as this one reads.
static void on_flood(struct sg_watch *watch, uint32_t events)
{
	ssize_t n;

	assert_ptr_equal(watch, &transport.watch);
	assert_true(sg_transport_note_events(&transport, events));
	do {
		assert_int_equal(send(sender, piece, PIECE_BYTES, 0), PIECE_BYTES);
		n = sg_transport_read(&transport, piece, PIECE_BYTES);
		given[turn] += n > 0 ? (size_t)n : 0;
	} while (n > 0 && given[turn] < 4 * SG_TURN_BYTES);
	end_turn();
}

static void a_fast_sender_has_its_part_of_each_turn(void **state)
{
	(void)state;
	run_with(on_flood);
	for (int i = 0; i < TURNS; i++)
		assert_int_equal(given[i], SG_TURN_BYTES);
}

// Its one event comes before it is read: no other one follows.
static void on_work(struct sg_watch *watch, uint32_t events)
{
	ssize_t n;

	assert_ptr_equal(watch, &transport.watch);
	assert_true(turn == 0 || events == 0);
	assert_true(sg_transport_note_events(&transport, events));
	if (turn < TURNS - 1) {
		sg_transport_charge(&transport, SG_TURN_BYTES - 1);
		assert_true(sg_transport_has_turn(&transport));
		sg_transport_charge(&transport, 2);
		assert_false(sg_transport_has_turn(&transport));
	}
	n = sg_transport_read(&transport, piece, PIECE_BYTES);
	assert_int_equal(n, turn < TURNS - 1 ? -EAGAIN : PIECE_BYTES);
	end_turn();
}

static void what_it_had_to_leave_is_read_in_a_later_turn(void **state)
{
	(void)state;
	run_with(on_work);
	assert_int_equal(turn, TURNS);
}

// The last bytes of one that takes nothing any more are not put off: nobody would ask for them.
static void on_broken(struct sg_watch *watch, uint32_t events)
{
	assert_ptr_equal(watch, &transport.watch);
	assert_true(sg_transport_note_events(&transport, events));
	shutdown(watch->fd, SHUT_WR);
	assert_int_equal(sg_transport_write(&transport, piece, 1), -EPIPE);
	sg_transport_charge(&transport, SG_TURN_BYTES);
	assert_int_equal(sg_transport_read(&transport, piece, PIECE_BYTES), PIECE_BYTES);
	sg_loop_stop(loop);
}

static void a_broken_one_gives_all_that_is_there(void **state)
{
	(void)state;
	run_with(on_broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_fast_sender_has_its_part_of_each_turn, make_loop, free_loop),
		cmocka_unit_test_setup_teardown(
			what_it_had_to_leave_is_read_in_a_later_turn, make_loop, free_loop),
		cmocka_unit_test_setup_teardown(
			a_broken_one_gives_all_that_is_there, make_loop, free_loop),
	};

	return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
