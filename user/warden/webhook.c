// SPDX-License-Identifier: Apache-2.0
#include "warden/webhook.h"

#include <errno.h>

#include "warden/remote.h"

#define DEFAULT_TIMEOUT_MS 5000

int sg_webhook_complete(json_t *config, struct sg_error *error)
{
	static const char *const keys[] = { "url", "secret", "secret_file", "timeout_ms", NULL };
	static const struct sg_remote remote = { "webhook", "secret", DEFAULT_TIMEOUT_MS, false };
	json_t *webhook = json_object_get(config, "webhook");
	int r = webhook ? sg_remote_check_keys(webhook, keys, "webhook", error) : 0;

	if (r == 0 && webhook)
		r = sg_remote_complete(webhook, &remote, error);
	if (r == 0 && webhook && !json_string_length(json_object_get(webhook, "secret")))
		r = sg_error_set(error, -EINVAL,
			"webhook.secret: what is told must be signed: give a secret, or "
			"secret_file");
	return r;
}
