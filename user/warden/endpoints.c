// SPDX-License-Identifier: Apache-2.0
#include "warden/endpoints.h"

#include <errno.h>
#include <string.h>

#include "base/address.h"
#include "warden/warden.h"

static bool names(const json_t *definition, const char *address)
{
	size_t index;
	json_t *origin;

	json_array_foreach(json_object_get(definition, "origins"), index, origin)
	{
		if (strcmp(json_string_value(json_object_get(origin, "address")), address) == 0)
			return true;
	}
	return false;
}

static bool is_named(const struct sg_warden *warden, const char *address)
{
	for (const struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next)
		if (names(agent->definition, address))
			return true;
	return false;
}

int sg_endpoints_add(struct sg_warden *warden, const json_t *definition, struct sg_error *error)
{
	size_t index;
	json_t *origin;

	json_array_foreach(json_object_get(definition, "origins"), index, origin)
	{
		const char *text = json_string_value(json_object_get(origin, "address"));
		uint8_t address[16];
		uint16_t port;
		int r = text ? sg_address_parse(text, address, &port) : -EINVAL;

		if (r == 0)
			r = sg_redirect_add_endpoint(warden->redirect, address, port);
		if (r < 0)
			return sg_error_set(
				error, r, "origins: %s: %s", text ? text : "", strerror(-r));
	}
	return 0;
}

void sg_endpoints_drop(struct sg_warden *warden, const json_t *definition)
{
	size_t index;
	json_t *origin;

	json_array_foreach(json_object_get(definition, "origins"), index, origin)
	{
		const char *text = json_string_value(json_object_get(origin, "address"));
		uint8_t address[16];
		uint16_t port;

		if (text && !is_named(warden, text) && sg_address_parse(text, address, &port) == 0)
			sg_redirect_remove_endpoint(warden->redirect, address, port);
	}
}
