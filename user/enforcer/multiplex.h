// SPDX-License-Identifier: Apache-2.0
// What an upstream connection has beside its own when it speaks HTTP/2: the codec, and how many
// calls are on it. Each call is a stream whose owner is its sg_upstream_user; that is told by
// on_event when something happened to its stream. Nothing is written before the end of the turn, so
// that what many calls say goes out together. Worker thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "loop/loop.h"

struct sg_h2;
struct sg_upstream;

struct sg_multiplex {
	struct sg_h2 *codec;
	struct sg_upstream *upstream;
	struct sg_deferred turn_end;
	bool put_off;	   // turn_end will run
	bool running;	   // what happens meanwhile is seen by the run itself
	bool freed;	   // by the end of the turn that is put off
	bool was_stale;	   // when it was lost: the provider had closed it before any call was there
	bool write_failed; // what the provider said before is still read
	bool lost;	   // the connection is gone: its calls find out
	bool asked;	   // for a sign of life
	bool silent;	   // none came
	int64_t heard_ms;
};

// The connection is there, and speaks HTTP/2 from here on. Returns 0 or -ENOMEM.
int sg_multiplex_start(struct sg_upstream *upstream) SG_WUNRES;

// NULL: none.
struct sg_multiplex *sg_multiplex_free(struct sg_multiplex *multiplex);

// Something happened on the socket, or the connection is there. It may be closed afterwards.
void sg_multiplex_run(struct sg_upstream *upstream);

// Something was given to the codec, or taken from it: what follows is done at the end of the turn.
void sg_multiplex_put_off(struct sg_upstream *upstream);

// May another call be made on it?
bool sg_multiplex_has_room(const struct sg_upstream *upstream);

// A while has passed since this was said last, or since it got its first call.
void sg_multiplex_watch(struct sg_upstream *upstream);

// Says the provider that the connection ends.
void sg_multiplex_say_goodbye(struct sg_upstream *upstream);
