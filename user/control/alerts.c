// SPDX-License-Identifier: Apache-2.0
#include "control/alerts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "budget/policy.h"

struct tally {
	UT_hash_handle hh;
	char agent[SG_BUDGET_NAME_BYTES];
	int64_t count;
};

struct sg_alerts {
	pthread_mutex_t lock;
	struct tally *tallies;
};

int sg_alerts_new(struct sg_alerts **ret_alerts)
{
	struct sg_alerts *alerts = calloc(1, sizeof(*alerts));

	if (!alerts)
		return -ENOMEM;
	pthread_mutex_init(&alerts->lock, NULL);
	*ret_alerts = alerts;
	return 0;
}

struct sg_alerts *sg_alerts_free(struct sg_alerts *alerts)
{
	struct tally *tally, *next;

	if (!alerts)
		return NULL;
	HASH_ITER(hh, alerts->tallies, tally, next)
	{
		HASH_DEL(alerts->tallies, tally);
		free(tally);
	}
	pthread_mutex_destroy(&alerts->lock);
	free(alerts);
	return NULL;
}

void sg_alerts_add(struct sg_alerts *alerts, const char *agent)
{
	struct tally *tally = NULL;

	pthread_mutex_lock(&alerts->lock);
	HASH_FIND_STR(alerts->tallies, agent, tally);
	if (!tally && (tally = calloc(1, sizeof(*tally)))) {
		strncpy(tally->agent, agent, sizeof(tally->agent) - 1);
		HASH_ADD_STR(alerts->tallies, agent, tally);
	}
	if (tally)
		tally->count++;
	pthread_mutex_unlock(&alerts->lock);
}

int64_t sg_alerts_count(struct sg_alerts *alerts, const char *agent)
{
	struct tally *tally = NULL;
	int64_t number;

	pthread_mutex_lock(&alerts->lock);
	HASH_FIND_STR(alerts->tallies, agent, tally);
	number = tally ? tally->count : 0;
	pthread_mutex_unlock(&alerts->lock);
	return number;
}
