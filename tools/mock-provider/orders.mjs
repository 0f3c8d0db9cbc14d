// SPDX-License-Identifier: Apache-2.0
// What a call is asked to do: words in the last user message, "mock:key=value", so that an unmodified SDK can ask for anything;
// and faults that the control port sets for the next calls.
//
//   tokens=N       output tokens (default 8; never more than the call's own limit); tokens=max: always the limit
//   per=N          tokens in each piece of a stream (with --tokenizer)
//   cached=N       of the input tokens, how many come from the cache
//   write=N        tokens written to the cache (Anthropic), write1h=N: for an hour
//   tool=1         a plain answer calls the first of the request's tools
//   delay=MS       between chunks of a stream;  head=MS: before anything is said
//   status=N       answer with this status;  times=N: only the first N calls (default: all)
//   fault=reset | reset-midway | cut | no-usage | negative | nan | huge | text | gzip | endless | interim | close |
//         untilclose | slowloris | billed-reset | trailers; over HTTP/2 also refused | goaway | rst | break (midway)
//   fault=early    from the control port only: the answer (status, default 413) before the body is read; close=1: and no more
export function readOrders(text, faults) {
	const orders = { ...faults };
	for (const [, key, value] of text.matchAll(/mock:([a-z0-9]+)=([\w-]+)/g)) orders[key] = value;
	return orders;
}

export function number(orders, key, otherwise) {
	return orders[key] === undefined ? otherwise : Number(orders[key]);
}

// Deterministic and never more than the bytes: about four bytes a token.
export function countTokens(text) {
	return Math.max(1, Math.ceil(Buffer.byteLength(text) / 4));
}

export function lastUserText(messages) {
	const last = [...(messages ?? [])].reverse().find((message) => message.role === 'user');
	const content = last?.content ?? '';
	return typeof content === 'string' ? content : content.map((part) => part.text ?? '').join(' ');
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
