// SPDX-License-Identifier: Apache-2.0
// Every cap of the data plane in one place, with why.
#pragma once

// The first flight: a client that says nothing is either server-first (SMTP, SSH, MySQL) or idle.
#define SG_SERVER_FIRST_MS 3000
#define SG_HANDSHAKE_MS	   15000

// A kept-alive agent connection may idle this long. SDKs close theirs after 4 s to 5 min; ours must
// be above 5 s.
#define SG_IDLE_MS 360000

// A request's body, from the agent and to the provider, may pause this long.
#define SG_REQUEST_MS 120000

// A body that is gathered before anything of it is sent must be whole within this, pauses or none.
#define SG_GATHER_MS 900000

// Providers think long before the first byte, and pause within streams: this long, not in all.
#define SG_RESPONSE_MS 1200000

// An agent that left: how long its answer is read on, to learn the exact usage, before the hold is
// charged.
#define SG_DRAIN_MS 60000

// The end of this process: how long calls that a provider is answering may take, and how often is
// looked whether they have ended. The warden waits somewhat longer (warden/enforcer.c).
#define SG_STOP_MS	10000
#define SG_STOP_LOOK_MS 20

// Turns of one WebSocket session that are in progress or asked for at once. Providers take one, and
// a few beside it.
#define SG_LIVE_MAX_TURNS 32

// A provider that was sent a Close frame: how long its own is waited for.
#define SG_CLOSE_MS 5000

// Connections of one agent at a time, unless the configuration says otherwise.
#define SG_MAX_CONNECTIONS 16384

// Its calls under way at a time, the same. Each may have a connection to a provider, and a slot in
// the hold journal.
#define SG_MAX_CALLS 8192

// Lines of the logs that an agent brings about by being refused: at first so many, then so many a
// second. Some megabytes a day, whatever it does.
#define SG_LINES_AT_ONCE    500
#define SG_LINES_PER_SECOND 10

// Until a provider has taken the connection, TLS included.
#define SG_CONNECT_MS 15000

// Idle provider connections: kept below the idle limits of the big providers' edges.
#define SG_UPSTREAM_IDLE_MS	50000
#define SG_UPSTREAM_MAX_IDLE	256 // per origin and worker
#define SG_UPSTREAM_ORIGIN_IDLE 600000

// A provider's connection of HTTP/2 on which calls wait and nothing is heard for so long is asked
// for a sign of life; when none comes in as long again, it gets no more calls.
#define SG_UPSTREAM_SILENCE_MS 30000

// After our own answer to an unfinished request: how long and how much is read and dropped, so that
// no reset overtakes the answer.
#define SG_LINGER_MS	2000
#define SG_LINGER_BYTES (4u << 20)

// Back-pressure: the source is not read while its sink holds more than this.
#define SG_OUT_HIGH (256u << 10)
// The same for the answer of one of many calls on an HTTP/2 connection.
#define SG_STREAM_OUT_HIGH (64u << 10)

// From here on writing a piece at once is worth more than sending it together with the next.
#define SG_WRITE_THROUGH_BYTES 4096

// A call whose limit is lowered since the budget affords no more gets at least so many tokens,
// where they are there: below it, answers are of little use.
#define SG_CLAMP_SHARE 4096

// A request whose bound by bytes does not fit: its texts are counted up to this length of the body,
// some 15 ms of a processor.
#define SG_COUNT_TEXT_BYTES (256u << 10)

// One read from a socket or a TLS connection.
#define SG_SCRATCH_BYTES (64u << 10)

// What one connection gives in a turn of its worker's loop, some milliseconds of work, before the
// others have theirs; and what a call counts for, however short it is.
#define SG_TURN_BYTES	   (1u << 20)
#define SG_TURN_CALL_BYTES (16u << 10)

// What a worker decodes of compressed requests in a turn of its loop, all connections together.
#define SG_TURN_DECODED_BYTES (2u << 20)

// A metered request's body: in memory up to here, beyond it in an unlinked file, in all no more
// than the providers take.
#define SG_BODY_MEMORY_BYTES (256u << 10)
#define SG_BODY_MAX_BYTES    (256ull << 20)

// What the bodies of one agent may take together, where the configuration does not say; taken in
// such steps, by those that are larger than this.
#define SG_AGENT_BODY_BYTES	(2ull << 30)
#define SG_BODY_STEP_BYTES	(64u << 10)
#define SG_BODY_UNCOUNTED_BYTES (16u << 10)

// What bodies leave of the disk that the ledger is on: a part of it, and at most so much.
#define SG_BODY_RESERVE_PART  16
#define SG_BODY_RESERVE_BYTES (256ull << 20)

// Buffers larger than this are given back when a connection falls idle.
#define SG_IDLE_BUFFER_BYTES (16u << 10)

// A call that goes on behind its answer: providers give a batch a day, and its GET some time.
#define SG_PENDING_MS (INT64_C(26) * 3600000)

// What a policy evaluator may say at most; what it is told of a request, and of an answer.
#define SG_HOOK_ANSWER_BYTES  (64u << 20)
#define SG_GATE_REQUEST_BYTES (16u << 20)
#define SG_GATE_ANSWER_BYTES  (64u << 20)
// Of a stream, which nobody waits for: beyond it the score goes without the answer's text.
#define SG_SCORE_ANSWER_BYTES (1u << 20)
