// SPDX-License-Identifier: Apache-2.0
#include "warden/prices.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "provider/price.h"
#include "warden/reload.h"
#include "warden/warden.h"

#define PRICES_LIMIT (16u << 20)
#define PRICES_MODE  0644 // the enforcer reads it as its own user

static int check(const char *path, struct sg_error *error)
{
	struct sg_price_table *table = NULL;
	int r = sg_price_table_load(path, &table, error);

	sg_price_table_free(table);
	return r;
}

static void own_path(const struct sg_warden *warden, char *out, size_t size)
{
	snprintf(out, size, "%s/prices.json", warden->state_directory);
}

int sg_prices_add(const struct sg_warden *warden, json_t *config, struct sg_error *error)
{
	char path[PATH_MAX];
	int r;

	own_path(warden, path, sizeof(path));
	if (json_object_get(config, "prices") || access(path, F_OK) < 0)
		return 0;
	r = check(path, error);
	if (r == 0 && json_object_set_new(config, "prices", json_string(path)) < 0)
		r = sg_error_set(error, -ENOMEM, "out of memory");
	return r;
}

// The new text in place of `path`, checked before; *ret_before is what was there (NULL: nothing).
static int install(const char *path, const char *text, char **ret_before, size_t *ret_length,
	struct sg_error *error)
{
	char draft[PATH_MAX + 8];
	int r;

	*ret_before = NULL;
	snprintf(draft, sizeof(draft), "%s.new", path);
	r = sg_fd_read_file(path, PRICES_LIMIT, ret_before, ret_length);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = sg_fd_replace_file(draft, text, strlen(text), PRICES_MODE);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	r = check(draft, error);
	if (r == 0 && rename(draft, path) < 0)
		r = sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (r < 0)
		unlink(draft);
	return r;
}

static void put_back(const char *path, const char *before, size_t length)
{
	int r = before ? sg_fd_replace_file(path, before, length, PRICES_MODE)
		       : (unlink(path) < 0 ? -errno : 0);

	if (r < 0)
		sg_log(SG_LOG_ERROR, "prices", "file=%s reason=\"%s\"", path, strerror(-r));
}

int sg_prices_update(struct sg_warden *warden, const json_t *document, struct sg_error *error)
{
	const char *given = json_string_value(json_object_get(warden->config, "prices"));
	char path[PATH_MAX], restart[128], *before = NULL;
	char *text = json_dumps(document, JSON_INDENT(1));
	size_t length = 0;
	int r;

	if (!text)
		return sg_error_set(error, -EINVAL, "there is no table of prices");
	if (given)
		snprintf(path, sizeof(path), "%s", given);
	else
		own_path(warden, path, sizeof(path));
	r = install(path, text, &before, &length, error);
	if (r == 0) {
		r = sg_reload(warden, restart, sizeof(restart), error);
		if (r < 0)
			put_back(path, before, length);
		else
			sg_log(SG_LOG_INFO, "prices_updated", "file=%s bytes=%zu", path,
				strlen(text));
	}
	free(before);
	free(text);
	return r;
}
