// SPDX-License-Identifier: Apache-2.0
#include "budget/policy_fields.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "budget/policy_values.h"

#define DEFAULT_COOLDOWN_NS (300 * SG_NS_PER_SEC)

static const char *const behaviors[] = {
	[SG_HARD_STOP] = "hard_stop",
	[SG_RATE_LIMIT] = "rate_limit",
	[SG_SOFT_ALERT] = "soft_alert",
};
static const char *const tights[] = {
	[SG_TIGHT_DENY] = "deny",
	[SG_TIGHT_CLAMP] = "clamp",
	[SG_TIGHT_CUT] = "cut",
};
static const char *const scopes[] = {
	[SG_SCOPE_AGENT] = "agent",
	[SG_SCOPE_LABEL] = "label",
	[SG_SCOPE_HOST] = "host",
};
static const char *const modes[] = { "enforce", "observe" };
static const char *const actions[] = {
	[SG_BREAKER_DENY] = "deny",
	[SG_BREAKER_FREEZE] = "freeze",
	[SG_BREAKER_CUT] = "cut",
	[SG_BREAKER_ALERT] = "alert",
};

const char *sg_behavior_name(enum sg_behavior behavior)
{
	return behaviors[behavior];
}

const char *sg_on_tight_name(enum sg_on_tight on_tight)
{
	return tights[on_tight];
}

const char *sg_scope_name(enum sg_scope scope)
{
	return scopes[scope];
}

const char *sg_breaker_action_name(enum sg_breaker_action action)
{
	return actions[action];
}

static int read_name(struct sg_policy_parser *parser, const json_t *value)
{
	return sg_value_text(
		value, "name", parser->budget->name, SG_BUDGET_NAME_BYTES, parser->error);
}

// The same cap by two spellings must say the same.
static int set_cap(struct sg_policy_parser *parser, int64_t *cap, int64_t value)
{
	if (*cap && *cap != value)
		return sg_error_set(
			parser->error, -EINVAL, "%s is given twice, and differs", parser->shown);
	*cap = value;
	return 0;
}

static int read_limit(struct sg_policy_parser *parser, const json_t *value)
{
	int64_t nanousd = 0;
	int r = sg_value_money(value, parser->shown, &nanousd, parser->error);

	return r < 0 ? r : set_cap(parser, &parser->budget->limit_nanousd, nanousd);
}

static int read_cap(struct sg_policy_parser *parser, const json_t *value, int64_t *cap)
{
	int64_t count = 0;
	int r = sg_value_count(value, parser->shown, &count, parser->error);

	return r < 0 ? r : set_cap(parser, cap, count);
}

static int read_requests(struct sg_policy_parser *parser, const json_t *value)
{
	return read_cap(parser, value, &parser->budget->max_requests);
}

static int read_tokens(struct sg_policy_parser *parser, const json_t *value)
{
	return read_cap(parser, value, &parser->budget->max_tokens);
}

static int read_input_tokens(struct sg_policy_parser *parser, const json_t *value)
{
	return read_cap(parser, value, &parser->budget->max_input_tokens);
}

static int read_output_tokens(struct sg_policy_parser *parser, const json_t *value)
{
	return read_cap(parser, value, &parser->budget->max_output_tokens);
}

static int read_concurrency(struct sg_policy_parser *parser, const json_t *value)
{
	return read_cap(parser, value, &parser->budget->max_concurrency);
}

static int read_window(struct sg_policy_parser *parser, const json_t *value)
{
	static const char prefix[] = "calendar:";
	const char *text = json_string_value(value);

	parser->has_window = true;
	if (text && strncmp(text, prefix, strlen(prefix)) == 0) {
		for (enum sg_calendar calendar = SG_HOUR; calendar <= SG_MONTH; calendar++)
			if (strcmp(text + strlen(prefix), sg_calendar_name(calendar)) == 0)
				parser->budget->calendar = calendar;
		return parser->budget->calendar
			       ? 0
			       : sg_error_set(parser->error, -EINVAL,
					 "window \"%.40s\": must be calendar:hour, calendar:day, "
					 "calendar:week or calendar:month",
					 text);
	}
	if (!text || sg_window_parse(text, &parser->budget->window_ns) < 0)
		return sg_error_set(parser->error, -EINVAL, "window must be a positive duration");
	return 0;
}

// Loaded here only to say now that it is there.
static int read_timezone(struct sg_policy_parser *parser, const json_t *value)
{
	struct sg_timezone *zone = NULL;
	int r = sg_value_text(
		value, "timezone", parser->budget->timezone, SG_TIMEZONE_BYTES, parser->error);

	parser->has_timezone = true;
	if (r == 0)
		r = sg_timezone_load(parser->budget->timezone, &zone, parser->error);
	sg_timezone_free(zone);
	return r;
}

static int read_behavior(struct sg_policy_parser *parser, const json_t *value)
{
	int found = sg_value_word(value, behaviors, SG_ARRAY_SIZE(behaviors));

	if (found < 0)
		return sg_error_set(parser->error, -EINVAL,
			"unknown behavior \"%.80s\": must be one of rate_limit, hard_stop, "
			"soft_alert",
			sg_value_shown(value));
	parser->budget->behavior = (enum sg_behavior)found;
	return 0;
}

static int read_on_tight(struct sg_policy_parser *parser, const json_t *value)
{
	int found = sg_value_word(value, tights, SG_ARRAY_SIZE(tights));

	if (found < 0)
		return sg_error_set(parser->error, -EINVAL,
			"unknown on_tight \"%.80s\": must be one of deny, clamp, cut",
			sg_value_shown(value));
	parser->budget->on_tight = (enum sg_on_tight)found;
	return 0;
}

// The one duration that may be none.
static int read_wait(struct sg_policy_parser *parser, const json_t *value)
{
	const char *text = json_string_value(value);

	if (text && (strcmp(text, "0s") == 0 || strcmp(text, "0") == 0)) {
		parser->budget->wait_ns = 0;
		return 0;
	}
	if (!text || sg_window_parse(text, &parser->budget->wait_ns) < 0 ||
		parser->budget->wait_ns == SG_WINDOW_LIFETIME)
		return sg_error_set(parser->error, -EINVAL, "wait must be a duration, or 0s");
	return 0;
}

static int read_mode(struct sg_policy_parser *parser, const json_t *value)
{
	int found = sg_value_word(value, modes, SG_ARRAY_SIZE(modes));

	if (found < 0)
		return sg_error_set(parser->error, -EINVAL,
			"unknown mode \"%.80s\": must be enforce or observe",
			sg_value_shown(value));
	parser->budget->observe = found == 1;
	return 0;
}

static int read_scope(struct sg_policy_parser *parser, const json_t *value)
{
	int found = sg_value_word(value, scopes, SG_ARRAY_SIZE(scopes));

	if (found < 0)
		return sg_error_set(parser->error, -EINVAL,
			"unknown scope \"%.80s\": must be agent, label or host",
			sg_value_shown(value));
	parser->budget->scope = (enum sg_scope)found;
	return 0;
}

static int read_label(struct sg_policy_parser *parser, const json_t *value)
{
	return sg_value_text(value, "label", parser->budget->label, SG_LABEL_BYTES, parser->error);
}

static int read_globs(struct sg_policy_parser *parser, const json_t *value, char *out, size_t size)
{
	size_t used = 0, i;
	json_t *item;

	if (!json_is_array(value) || !json_array_size(value))
		return sg_error_set(parser->error, -EINVAL,
			"%s must be a list of names or globs, as [\"gpt-4o*\"]", parser->key);
	json_array_foreach((json_t *)value, i, item)
	{
		const char *text = json_string_value(item);
		size_t length = text ? strlen(text) : 0;

		if (!length)
			return sg_error_set(parser->error, -EINVAL,
				"%s[%zu]: must be a name or a glob", parser->key, i);
		if (length + 2 > size - used)
			return sg_error_set(parser->error, -EINVAL,
				"%s: must have at most %zu characters together", parser->key,
				size - 2);
		memcpy(out + used, text, length + 1);
		used += length + 1;
	}
	out[used] = 0;
	return 0;
}

static int read_models(struct sg_policy_parser *parser, const json_t *value)
{
	return read_globs(parser, value, parser->budget->models, SG_MODEL_GLOBS_BYTES);
}

static int read_providers(struct sg_policy_parser *parser, const json_t *value)
{
	return read_globs(parser, value, parser->budget->providers, SG_PROVIDER_GLOBS_BYTES);
}

static int read_alerts(struct sg_policy_parser *parser, const json_t *value)
{
	struct sg_budget_policy *budget = parser->budget;
	size_t i;
	json_t *item;

	if (!json_is_array(value) || json_array_size(value) > SG_MAX_ALERTS)
		return sg_error_set(parser->error, -EINVAL,
			"alerts must be a list of at most %d percentages, as [50, 80, 100]",
			SG_MAX_ALERTS);
	json_array_foreach((json_t *)value, i, item)
	{
		json_int_t percent = json_integer_value(item);

		if (percent < 1 || percent > 100 || (i && percent <= budget->alerts[i - 1]))
			return sg_error_set(parser->error, -EINVAL,
				"alerts[%zu]: must be a percentage from 1 to 100, each larger "
				"than the one before",
				i);
		budget->alerts[i] = (uint8_t)percent;
	}
	budget->alert_count = (unsigned)json_array_size(value);
	return 0;
}

static int read_breaker_field(struct sg_policy_parser *parser, const char *key, const json_t *value)
{
	struct sg_breaker_policy *breaker = &parser->budget->breaker;
	int found;

	if (strcmp(key, "usd_per_minute") == 0)
		return sg_value_money(value, key, &breaker->nanousd_per_minute, parser->error);
	if (strcmp(key, "times_baseline") == 0)
		return sg_value_count(value, key, &breaker->times_baseline, parser->error);
	if (strcmp(key, "identical_requests") == 0)
		return sg_value_count(value, key, &breaker->identical_requests, parser->error);
	if (strcmp(key, "refusals") == 0)
		return sg_value_count(value, key, &breaker->refusals, parser->error);
	if (strcmp(key, "cooldown") == 0)
		return json_is_string(value) &&
				       sg_window_parse(json_string_value(value),
					       &breaker->cooldown_ns) == 0 &&
				       breaker->cooldown_ns
			       ? 0
			       : sg_error_set(parser->error, -EINVAL,
					 "cooldown must be a positive duration");
	if (strcmp(key, "action") != 0)
		return sg_error_set(parser->error, -EINVAL, "unknown key \"%.80s\"", key);
	found = sg_value_word(value, actions, SG_ARRAY_SIZE(actions));
	if (found < 0)
		return sg_error_set(parser->error, -EINVAL,
			"unknown action \"%.80s\": must be deny, freeze, cut or alert",
			sg_value_shown(value));
	breaker->action = (enum sg_breaker_action)found;
	return 0;
}

static int read_breaker(struct sg_policy_parser *parser, const json_t *value)
{
	struct sg_breaker_policy *breaker = &parser->budget->breaker;
	const char *key;
	json_t *item;

	if (!json_is_object(value))
		return sg_error_set(parser->error, -EINVAL, "breaker: must be an object");
	breaker->cooldown_ns = DEFAULT_COOLDOWN_NS;
	json_object_foreach((json_t *)value, key, item)
	{
		int r = read_breaker_field(parser, key, item);

		if (r < 0)
			return sg_error_prefix(parser->error, r, "breaker: ");
	}
	if (!sg_breaker_watches(breaker))
		return sg_error_set(parser->error, -EINVAL,
			"breaker: usd_per_minute, identical_requests or refusals is required");
	if (breaker->times_baseline && !breaker->nanousd_per_minute)
		return sg_error_set(parser->error, -EINVAL,
			"breaker: times_baseline needs usd_per_minute, the least that counts as "
			"running away");
	return 0;
}

// Errors name the caps as the reference's pods spell them; both spellings are taken.
static const struct {
	const char *key, *shown;
	int (*read)(struct sg_policy_parser *parser, const json_t *value);
} fields[] = {
	{ "name", "name", read_name },
	{ "limit_usd", "limit-usd", read_limit },
	{ "limit-usd", "limit-usd", read_limit },
	{ "max_requests", "max-requests", read_requests },
	{ "max-requests", "max-requests", read_requests },
	{ "requests", "max-requests", read_requests },
	{ "max_tokens", "max-tokens", read_tokens },
	{ "max_input_tokens", "max-input-tokens", read_input_tokens },
	{ "max_output_tokens", "max-output-tokens", read_output_tokens },
	{ "max_concurrency", "max-concurrency", read_concurrency },
	{ "window", "window", read_window },
	{ "timezone", "timezone", read_timezone },
	{ "behavior", "behavior", read_behavior },
	{ "on_tight", "on_tight", read_on_tight },
	{ "wait", "wait", read_wait },
	{ "mode", "mode", read_mode },
	{ "scope", "scope", read_scope },
	{ "label", "label", read_label },
	{ "models", "models", read_models },
	{ "providers", "providers", read_providers },
	{ "alerts", "alerts", read_alerts },
	{ "breaker", "breaker", read_breaker },
};

int sg_policy_read_field(struct sg_policy_parser *parser, const char *key, const json_t *value)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i].key, key) == 0) {
			parser->key = fields[i].key;
			parser->shown = fields[i].shown;
			return fields[i].read(parser, value);
		}
	return sg_error_set(parser->error, -EINVAL, "unknown key \"%.80s\"", key);
}
