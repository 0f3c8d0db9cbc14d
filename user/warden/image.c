// SPDX-License-Identifier: Apache-2.0
#include "warden/image.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "budget/policy.h"
#include "spendgate/control.h"

// ---- Tighter ----

// What an image may ask for at any time. NULL: only for what holds anyway.
static const struct {
	const char *key;
	const char *label;
	const char *tightest;
	const char *otherwise; // what holds where nothing is configured
	bool of_policy;	       // in profiles and in the configuration
} fields[] = {
	{ "name", "agent", NULL, NULL, false },
	{ "team", "team", NULL, NULL, false },
	{ "profile", "profile", NULL, NULL, false },
	{ "egress", "egress", "agent", "agent", true },
	{ "unknown_model", "unknown-model", "deny", "deny", true },
};

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

// The word that holds without the image's.
static const char *holds(const json_t *config, const json_t *request, size_t field)
{
	const json_t *profiles = json_object_get(config, "profiles");
	const char *profile = text_of(request, "profile");
	const char *key = fields[field].key, *word = text_of(request, key);

	if (!word && fields[field].of_policy && profile)
		word = text_of(json_object_get(profiles, profile), key);
	if (!word && fields[field].of_policy)
		word = text_of(config, key);
	return word ? word : fields[field].otherwise;
}

static bool is_tightest(size_t field, const char *asked)
{
	return fields[field].tightest && strcmp(asked, fields[field].tightest) == 0;
}

static int judge(const json_t *config, const json_t *request, size_t field, const char *asked,
	struct sg_error *error)
{
	const char *now = holds(config, request, field);

	if (is_tightest(field, asked) || (now && strcmp(asked, now) == 0))
		return 0;
	return sg_error_set(error, -EINVAL,
		"label spendgate.%s \"%.80s\" is the image's own, and an image can't loosen what "
		"holds for its container, nor choose for whom it spends: give the label to the "
		"container (docker run --label spendgate.%s=...), or trust images with "
		"\"image_labels\": \"trusted\" in the configuration",
		fields[field].label, asked, fields[field].label);
}

static int complete(json_t *budget, const char *name)
{
	if (json_object_set_new(budget, "name", json_string(name)) < 0)
		return -ENOMEM;
	if (json_object_get(budget, "window"))
		return 0;
	return json_object_set_new(budget, "window", json_string("lifetime")) < 0 ? -ENOMEM : 0;
}

// It stands beside those of the container and takes nothing from them, so it must be one by itself.
static int judge_budget(const json_t *asked, struct sg_error *error)
{
	json_t *budget = json_copy((json_t *)asked), *list = json_pack("[o]", budget);
	struct sg_policy policy;
	int r = list ? complete(budget, SG_CONTROL_IMAGE_BUDGET) : -ENOMEM;

	if (r < 0)
		sg_error_set(error, r, "out of memory");
	else if (sg_policy_parse(list, &policy, error) < 0)
		r = sg_error_prefix(error, -EINVAL,
			"labels spendgate.budget.* of the image, which make a budget beside the "
			"container's own (docs: docker; give them to the container too, or trust "
			"images with \"image_labels\": \"trusted\"): ");
	json_decref(list);
	return r;
}

static int judge_all(
	const json_t *config, const json_t *request, const json_t *image, struct sg_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(fields); i++) {
		const char *asked = text_of(image, fields[i].key);

		if (asked)
			r = judge(config, request, i, asked, error);
	}
	if (r == 0 && json_object_get(image, "budget"))
		r = judge_budget(json_object_get(image, "budget"), error);
	return r;
}

// ---- The request ----

// Takes the budgets.
static int set_budgets(json_t *request, json_t *one, json_t *other)
{
	json_t *list = other ? json_pack("[o, o]", one, other) : json_pack("[o]", one);

	return list && json_object_set_new(request, "budgets", list) == 0 ? 0 : -ENOMEM;
}

// `own`: of the container's labels, NULL: none. An image's is one beside it, which takes nothing
// from the other; a trusted image's fills what the other leaves open.
static int add_budget(json_t *request, const json_t *asked, bool trusted)
{
	const json_t *own = json_array_get(json_object_get(request, "budgets"), 0);
	json_t *first = json_copy((json_t *)(trusted || !own ? asked : own));
	json_t *second = trusted || !own ? NULL : json_copy((json_t *)asked);
	int r = 0;

	if (trusted && own)
		json_object_update(first, (json_t *)own);
	r = complete(first, trusted || own ? SG_CONTROL_CONTAINER_BUDGET : SG_CONTROL_IMAGE_BUDGET);
	if (r == 0 && second)
		r = complete(second, SG_CONTROL_IMAGE_BUDGET);
	if (r < 0) {
		json_decref(first);
		json_decref(second);
		return r;
	}
	return set_budgets(request, first, second);
}

// Of an image that is not trusted only what is tightest: the rest is what holds anyway, and must
// not outlive it.
static int take(json_t *request, const json_t *image, bool trusted)
{
	const json_t *budget = json_object_get(image, "budget");
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(fields); i++) {
		const char *asked = text_of(image, fields[i].key);

		// There is none where the container's own labels say it; those of a command line
		// or of an engine's default give way.
		if (asked && (trusted || is_tightest(i, asked)))
			r = json_object_set_new(request, fields[i].key, json_string(asked));
	}
	if (r == 0 && budget)
		r = add_budget(request, budget, trusted);
	return r;
}

int sg_image_apply(
	const json_t *config, const json_t *request, json_t **ret_request, struct sg_error *error)
{
	const json_t *image = json_object_get(request, "image");
	const char *word = text_of(config, "image_labels");
	bool trusted = word && strcmp(word, "trusted") == 0;
	json_t *whole;
	int r = image && !trusted ? judge_all(config, request, image, error) : 0;

	if (r < 0)
		return r;
	whole = json_copy((json_t *)request);
	if (whole && image)
		json_object_del(whole, "image");
	if (!whole)
		r = -ENOMEM;
	else if (image)
		r = take(whole, image, trusted);
	if (r < 0) {
		json_decref(whole);
		return sg_error_set(error, -ENOMEM, "out of memory");
	}
	*ret_request = whole;
	return 0;
}
