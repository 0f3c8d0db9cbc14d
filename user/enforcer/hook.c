// SPDX-License-Identifier: Apache-2.0
#include "enforcer/hook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/limits.h"
#include "enforcer/worker.h"

static const char *text_of(const json_t *settings, const char *key)
{
	const char *text = json_string_value(json_object_get(settings, key));

	return text ? text : "";
}

static int copy_texts(const json_t *settings, struct sg_evaluator *evaluator)
{
	const char *token = text_of(settings, "token");
	const json_t *rules = json_object_get(settings, "rules");

	if (*token ? asprintf(&evaluator->authorization, "authorization: Bearer %s\r\n", token) < 0
		   : !(evaluator->authorization = strdup("")))
		return -ENOMEM;
	evaluator->rules_path = strdup(text_of(rules, "path"));
	evaluator->rules_digest = strdup(text_of(rules, "digest"));
	return evaluator->rules_path && evaluator->rules_digest ? 0 : -ENOMEM;
}

int sg_evaluator_new(const json_t *settings, SSL_CTX *context, struct sg_evaluator **ret_evaluator,
	struct sg_error *error)
{
	struct sg_evaluator *evaluator;
	int r;

	*ret_evaluator = NULL;
	if (!settings)
		return 0;
	evaluator = calloc(1, sizeof(*evaluator));
	if (!evaluator)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = sg_post_target_read(settings, context, &evaluator->target);
	if (r == 0)
		r = copy_texts(settings, evaluator);
	if (r < 0) {
		sg_evaluator_free(evaluator);
		return sg_error_set(error, r, "policy: %s", strerror(-r));
	}
	evaluator->fail_open = strcmp(text_of(settings, "fail_mode"), "open") == 0;
	*ret_evaluator = evaluator;
	return 0;
}

void sg_evaluator_resolve(struct sg_evaluator *evaluator, const json_t *settings)
{
	if (evaluator && settings)
		sg_post_target_resolve(settings, &evaluator->target);
}

struct sg_evaluator *sg_evaluator_free(struct sg_evaluator *evaluator)
{
	if (!evaluator)
		return NULL;
	if (evaluator->authorization)
		OPENSSL_cleanse(evaluator->authorization, strlen(evaluator->authorization));
	free(evaluator->authorization);
	free(evaluator->rules_path);
	free(evaluator->rules_digest);
	free(evaluator);
	return NULL;
}

int sg_hook_ask(struct sg_worker *worker, enum sg_hook hook, struct sg_buf *body,
	sg_post_done_fn done, void *context, struct sg_post **ret_post)
{
	const struct sg_evaluator *evaluator = worker->enforcer->evaluator;
	const struct sg_post_request request = { .target = &evaluator->target,
		.more_path = sg_hook_path(hook),
		.headers = evaluator->authorization,
		.answer_limit = SG_HOOK_ANSWER_BYTES };

	return sg_post_start(worker, &request, body, done, context, ret_post);
}
