// SPDX-License-Identifier: Apache-2.0
// ClientHellos as OpenSSL makes them, whole and byte by byte, in one record and in many.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "tls/hello.h"

static uint8_t hello_bytes[65536 * 2];

static size_t make_hello(const char *sni, const unsigned char *alpn, unsigned alpn_length)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	BIO *out = BIO_new(BIO_s_mem());
	int length;

	if (sni)
		SSL_set_tlsext_host_name(ssl, sni);
	if (alpn)
		SSL_set_alpn_protos(ssl, alpn, alpn_length);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	length = BIO_read(out, hello_bytes, sizeof(hello_bytes));
	SSL_free(ssl);
	SSL_CTX_free(context);
	assert_true(length > 0);
	return (size_t)length;
}

static void names_and_protocols_are_read(void **state)
{
	static const unsigned char both[] = "\x02h2\x08http/1.1", only_h2[] = "\x02h2";
	struct sg_hello hello;
	size_t need, length = make_hello("API.OpenAI.com", both, sizeof(both) - 1);

	(void)state;
	assert_int_equal(sg_hello_parse(hello_bytes, length, &hello, &need), 1);
	assert_string_equal(hello.sni, "api.openai.com");
	assert_true(hello.offers_alpn && hello.offers_http11 && hello.offers_h2);
	length = make_hello("a.b", only_h2, sizeof(only_h2) - 1);
	assert_int_equal(sg_hello_parse(hello_bytes, length, &hello, &need), 1);
	assert_true(hello.offers_alpn && !hello.offers_http11);
	length = make_hello(NULL, NULL, 0);
	assert_int_equal(sg_hello_parse(hello_bytes, length, &hello, &need), 1);
	assert_string_equal(hello.sni, "");
	assert_false(hello.offers_alpn);
}

static void every_prefix_wants_more(void **state)
{
	size_t length = make_hello("api.openai.com", NULL, 0);

	(void)state;
	for (size_t i = 0; i < length; i++) {
		struct sg_hello hello;
		size_t need = 0;

		assert_int_equal(sg_hello_parse(hello_bytes, i, &hello, &need), 0);
		assert_true(need > i);
	}
}

// The same message cut into records of a few bytes each (RFC 8446, 5.1).
static void a_hello_may_be_split_over_records(void **state)
{
	static uint8_t split[65536 * 2];
	size_t length = make_hello("api.openai.com", NULL, 0), out = 0, need;
	struct sg_hello hello;

	(void)state;
	for (size_t at = 5; at < length; at += 7) {
		size_t part = length - at < 7 ? length - at : 7;

		memcpy(split + out, "\x16\x03\x01\x00", 4);
		split[out + 4] = (uint8_t)part;
		memcpy(split + out + 5, hello_bytes + at, part);
		out += 5 + part;
	}
	for (size_t i = 0; i < out; i++)
		assert_int_equal(sg_hello_parse(split, i, &hello, &need), 0);
	assert_int_equal(sg_hello_parse(split, out, &hello, &need), 1);
	assert_string_equal(hello.sni, "api.openai.com");
}

// OpenSSL itself splits a hello that is larger than a record: here some 20 KB of protocols.
static void a_large_hello_is_read_byte_by_byte(void **state)
{
	static unsigned char protocols[20000];
	struct sg_hello hello;
	size_t need = 0, length, waited_for = 0;

	(void)state;
	for (size_t i = 0; i + 100 <= sizeof(protocols); i += 100) {
		protocols[i] = 99;
		memset(protocols + i + 1, 'p', 99);
	}
	memcpy(protocols + sizeof(protocols) - 100, "\x08http/1.1\x5a", 10);
	length = make_hello("x.example", protocols, sizeof(protocols));
	assert_true(length > 20000);
	for (size_t i = 0; i < length; i++) {
		assert_int_equal(sg_hello_parse(hello_bytes, i, &hello, &need), 0);
		assert_true(need > i && need <= length && need >= waited_for);
		waited_for = need;
	}
	assert_int_equal(sg_hello_parse(hello_bytes, length, &hello, &need), 1);
	assert_string_equal(hello.sni, "x.example");
	assert_true(hello.offers_http11 && !hello.offers_h2);
}

// A hello with the given extensions and nothing else.
static size_t build_hello(const char *extensions, size_t length)
{
	size_t body = 2 + 32 + 1 + 2 + 2 + 1 + 1 + 2 + length;
	uint8_t *at = hello_bytes;

	memset(hello_bytes, 0, 5 + 4 + body);
	memcpy(at, "\x16\x03\x01", 3);
	at[3] = (uint8_t)((body + 4) >> 8);
	at[4] = (uint8_t)(body + 4);
	at[5] = 1;
	at[7] = (uint8_t)(body >> 8);
	at[8] = (uint8_t)body;
	memcpy(at + 9, "\x03\x03", 2);
	memcpy(at + 9 + 34, "\x00\x00\x02\x13\x01\x01\x00", 7);
	at += 9 + 34 + 7;
	at[0] = (uint8_t)(length >> 8);
	at[1] = (uint8_t)length;
	memcpy(at + 2, extensions, length);
	return 9 + body;
}

#define EXTENSIONS(text) text, sizeof(text) - 1
#define SNI_A                                                                                      \
	"\x00\x00\x00\x06\x00\x04\x00\x00\x01"                                                     \
	"a"
#define ALPN_H2 "\x00\x10\x00\x05\x00\x03\x02h2"

static void extensions_are_taken_once_and_whole(void **state)
{
	static const struct {
		const char *extensions;
		size_t length;
		int outcome;
		const char *sni;
		bool h2, encrypted;
	} rows[] = {
		{ EXTENSIONS(""), 1, "", false, false },
		{ EXTENSIONS(SNI_A), 1, "a", false, false },
		{ EXTENSIONS(SNI_A ALPN_H2), 1, "a", true, false },
		{ EXTENSIONS(ALPN_H2 SNI_A), 1, "a", true, false },
		{ EXTENSIONS("\xfe\x0d\x00\x01\x00" SNI_A), 1, "a", false, true },
		{ EXTENSIONS("\x00\x00\x00\x09\x00\x07\x00\x00\x04"
			     "A.b."),
			1, "a.b", false, false },
		{ EXTENSIONS("\x00\x00\x00\x0c\x00\x0a\x00\x00\x07"
			     "1.2.3.4"),
			1, "1.2.3.4", false, false },
		// Twice.
		{ EXTENSIONS(SNI_A SNI_A), -EBADMSG, "", false, false },
		{ EXTENSIONS(ALPN_H2 ALPN_H2), -EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x00\x00\x0a\x00\x08\x00\x00\x01"
			     "a\x00\x00\x01"
			     "b"),
			-EBADMSG, "", false, false },
		// Names that are none.
		{ EXTENSIONS("\x00\x00\x00\x06\x00\x04\x00\x00\x01\x00"), -EBADMSG, "", false,
			false },
		{ EXTENSIONS("\x00\x00\x00\x06\x00\x04\x00\x00\x01."), -EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x00\x00\x05\x00\x03\x00\x00\x00"), -EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x00\x00\x08\x00\x06\x00\x00\x03"
			     "a:1"),
			-EBADMSG, "", false, false },
		// Lengths that do not fit: the list, the name, the extension, the protocols.
		{ EXTENSIONS("\x00\x00\x00\x06\x00\x05\x00\x00\x01"
			     "a"),
			-EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x00\x00\x06\x00\x03\x00\x00\x01"
			     "a"),
			-EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x00\x00\x06\x00\x04\x00\x00\x02"
			     "a"),
			-EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x00\x00\x07\x00\x04\x00\x00\x01"
			     "a"),
			-EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x10\x00\x05\x00\x03\x03h2"), -EBADMSG, "", false, false },
		{ EXTENSIONS("\x00\x10\x00\x03\x00\x01\x00"), -EBADMSG, "", false, false },
		{ EXTENSIONS("\x00"), -EBADMSG, "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t need, length = build_hello(rows[i].extensions, rows[i].length);
		struct sg_hello hello;
		int r = sg_hello_parse(hello_bytes, length, &hello, &need);

		if (r != rows[i].outcome)
			fail_msg("row %zu: %d", i, r);
		for (size_t part = 0; part < length; part++)
			assert_int_equal(sg_hello_parse(hello_bytes, part, &hello, &need), 0);
		if (r != 1)
			continue;
		assert_int_equal(sg_hello_parse(hello_bytes, length, &hello, &need), 1);
		assert_string_equal(hello.sni, rows[i].sni);
		assert_int_equal(hello.offers_h2, rows[i].h2);
		assert_int_equal(hello.encrypted_hello, rows[i].encrypted);
	}
}

static void other_protocols_and_damage_are_told_apart(void **state)
{
	struct sg_hello hello;
	size_t need, length = make_hello("api.openai.com", NULL, 0);

	(void)state;
	assert_int_equal(
		sg_hello_parse((const uint8_t *)"GET / HTTP/1.1", 14, &hello, &need), -EPROTO);
	assert_int_equal(sg_hello_parse((const uint8_t *)"SSH-2.0", 7, &hello, &need), -EPROTO);
	for (size_t i = 9; i < length; i++) {
		uint8_t saved = hello_bytes[i];

		hello_bytes[i] ^= 0xff; // must be taken or refused, never read beyond its end
					// (sanitizers watch)
		(void)!sg_hello_parse(hello_bytes, length, &hello, &need);
		hello_bytes[i] = saved;
	}
	hello_bytes[6] = 0xff; // a length of 16 MiB
	assert_int_equal(sg_hello_parse(hello_bytes, length, &hello, &need), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_protocols_are_read),
		cmocka_unit_test(every_prefix_wants_more),
		cmocka_unit_test(a_hello_may_be_split_over_records),
		cmocka_unit_test(a_large_hello_is_read_byte_by_byte),
		cmocka_unit_test(extensions_are_taken_once_and_whole),
		cmocka_unit_test(other_protocols_and_damage_are_told_apart),
	};

	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
