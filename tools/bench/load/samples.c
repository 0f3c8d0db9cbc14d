// SPDX-License-Identifier: Apache-2.0
#include "samples.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

void samples_add(struct samples *samples, uint64_t nanoseconds)
{
	if (samples->count == samples->capacity) {
		size_t capacity = samples->capacity ? samples->capacity * 2 : 65536;
		uint32_t *values = realloc(samples->values, capacity * sizeof(*values));

		if (!values)
			err(1, "samples");
		samples->values = values;
		samples->capacity = capacity;
	}
	nanoseconds /= 100;
	samples->values[samples->count++] =
		nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds;
}

void samples_clear(struct samples *samples)
{
	samples->count = 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

// The smallest value that at least `percent` of all values do not exceed (nearest rank).
static double percentile(const struct samples *samples, unsigned percent)
{
	size_t rank = (samples->count * percent + 99) / 100;

	return samples->values[rank ? rank - 1 : 0] / 10.0;
}

void samples_print(struct samples *samples, const char *name)
{
	double sum = 0;

	if (samples->count == 0) {
		printf("\"%s\": null", name);
		return;
	}
	qsort(samples->values, samples->count, sizeof(*samples->values), compare);
	for (size_t i = 0; i < samples->count; i++)
		sum += samples->values[i] / 10.0;
	printf("\"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"mean\": %.1f}", name,
		percentile(samples, 50), percentile(samples, 99), percentile(samples, 100),
		sum / (double)samples->count);
}
