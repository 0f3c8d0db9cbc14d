// SPDX-License-Identifier: Apache-2.0
// Every recorded exchange of fixtures/, through the real readers: whole, byte by byte, and torn at
// random (the seed is printed). What it must count is in the file itself ("expect"), written by
// somebody else than our code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "provider/meter.h"

#define FOLDER	       "tests/conformance/fixtures"
#define LEAST_FIXTURES 242

static struct sg_price_table *table;
static uint64_t seed;
static bool skim; // as live traffic is read

// Not compared as they stand: told in other words here, or no part of what this version meters.
static bool is_compared(const char *key)
{
	static const char *const others[] = { "reserve", "tool_calls", "priceable" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(others); i++)
		if (strcmp(key, others[i]) == 0)
			return false;
	// What was delivered is counted only where nothing is skimmed.
	return !(skim && strcmp(key, "estimate") == 0);
}

static unsigned compare(
	const char *name, const json_t *expected, const json_t *result, const char *prefix)
{
	unsigned differences = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)expected, key, value)
	{
		const json_t *got = json_object_get(result, key);

		if (!is_compared(key) || json_equal(value, got))
			continue;
		printf("%s: %s%s: expected %s, got %s\n", name, prefix, key,
			json_dumps(value, JSON_ENCODE_ANY),
			got ? json_dumps(got, JSON_ENCODE_ANY) : "nothing");
		differences++;
	}
	return differences;
}

static unsigned compare_reserve(const char *name, const json_t *expected, const json_t *result)
{
	static const char *const keys[] = { "output_bound", "input_bound", "choices" };
	unsigned differences = 0;

	for (size_t i = 0; expected && i < SG_ARRAY_SIZE(keys); i++)
		if (json_object_get(expected, keys[i]) &&
			!json_equal(json_object_get(expected, keys[i]),
				json_object_get(result, keys[i]))) {
			printf("%s: reserve.%s differs\n", name, keys[i]);
			differences++;
		}
	return differences;
}

// Of the tools that providers run only searches have a fee here; what has none is not told.
static unsigned compare_searches(const char *name, const json_t *expected, const json_t *result)
{
	static const char *const others[] = { "file_search", "google_maps" };
	const json_t *calls = json_object_get(expected, "tool_calls");
	json_int_t wanted = json_integer_value(json_object_get(calls, "web_search")) +
			    json_integer_value(json_object_get(calls, "google_search_prompts"));
	json_int_t got = json_integer_value(
		json_object_get(json_object_get(result, "tool_calls"), "web_search"));

	json_t *searched = json_object_get(result, "tool_calls");
	unsigned differences = 0;

	for (size_t i = 0; i < SG_ARRAY_SIZE(others); i++)
		differences += json_integer_value(json_object_get(calls, others[i])) !=
			       json_integer_value(json_object_get(searched, others[i]));
	if (wanted == got && !differences)
		return 0;
	printf("%s: %lld searches, got %lld; %u others differ\n", name, (long long)wanted,
		(long long)got, differences);
	return 1;
}

static unsigned check(const char *name, const json_t *exchange, enum sg_meter_split split)
{
	struct sg_meter_options options = { .split = split,
		.seed = seed,
		.wall_ns = INT64_C(1790000000) * SG_NS_PER_SEC,
		.skim = skim };
	const json_t *expected = json_object_get(exchange, "expect");
	struct sg_error error = { "" };
	json_t *result = NULL;
	unsigned differences;

	if (sg_meter_exchange(exchange, table, &options, &result, &error) < 0) {
		printf("%s: %s\n", name, error.text);
		return 1;
	}
	differences = compare(name, expected, result, "");
	differences += compare_reserve(
		name, json_object_get(expected, "reserve"), json_object_get(result, "reserve"));
	differences += compare_searches(name, expected, result);
	json_decref(result);
	return differences;
}

static void fixtures_are_metered(enum sg_meter_split split)
{
	DIR *folder = opendir(FOLDER);
	struct dirent *entry;
	unsigned count = 0, differences = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		char path[512];
		json_t *exchange;

		if (!strstr(entry->d_name, ".json"))
			continue;
		snprintf(path, sizeof(path), FOLDER "/%s", entry->d_name);
		exchange = json_load_file(path, JSON_ALLOW_NUL, NULL);
		assert_non_null(exchange);
		differences += check(entry->d_name, exchange, split);
		json_decref(exchange);
		count++;
	}
	closedir(folder);
	printf("%u exchanges\n", count);
	assert_true(count >= LEAST_FIXTURES);
	assert_int_equal(differences, 0);
}

static void whole(void **state)
{
	(void)state;
	fixtures_are_metered(SG_METER_WHOLE);
}

static void byte_by_byte(void **state)
{
	(void)state;
	fixtures_are_metered(SG_METER_BYTEWISE);
}

static void torn_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		printf("seed %llu\n", (unsigned long long)seed);
		fixtures_are_metered(SG_METER_RANDOM);
		seed++;
	}
}

static void as_live_traffic_is_read(void **state)
{
	(void)state;
	skim = true;
	fixtures_are_metered(SG_METER_WHOLE);
	fixtures_are_metered(SG_METER_BYTEWISE);
	skim = false;
}

static int load_prices(void **state)
{
	struct sg_error error = { "" };
	const char *given = getenv("SEED");

	(void)state;
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)sg_clock_wall_ns();
	return sg_price_table_builtin(&table, &error);
}

static int free_prices(void **state)
{
	(void)state;
	table = sg_price_table_free(table);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(torn_at_random),
		cmocka_unit_test(as_live_traffic_is_read),
	};

	return cmocka_run_group_tests_name("fixtures", tests, load_prices, free_prices);
}
