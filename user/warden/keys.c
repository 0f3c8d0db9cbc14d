// SPDX-License-Identifier: Apache-2.0
#include "warden/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "provider/credential.h"
#include "provider/provider.h"

// ---- Files ----

// An absolute path, or the name of a credential that systemd has given the service.
static int path_of(const char *key_file, char *out, size_t size, struct sg_error *error)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	if (*key_file == '/')
		return snprintf(out, size, "%s", key_file) < (int)size
			       ? 0
			       : sg_error_set(error, -ENAMETOOLONG, "key_file: is too long");
	if (!*key_file || strchr(key_file, '/'))
		return sg_error_set(error, -EINVAL,
			"key_file \"%.200s\": must be an absolute path, or the name of a "
			"credential of the systemd unit",
			key_file);
	if (!directory)
		return sg_error_set(error, -EINVAL,
			"key_file \"%.200s\": names a credential, and systemd has given this "
			"service none: add LoadCredential=%.200s:PATH to its unit, or write an "
			"absolute path",
			key_file, key_file);
	return snprintf(out, size, "%s/%s", directory, key_file) < (int)size
		       ? 0
		       : sg_error_set(error, -ENAMETOOLONG, "key_file: is too long");
}

static int check_file(const char *path, const struct stat *file, struct sg_error *error)
{
	if (!S_ISREG(file->st_mode))
		return sg_error_set(error, -EINVAL, "key_file %s: is no regular file", path);
	if (file->st_uid != 0)
		return sg_error_set(error, -EPERM,
			"key_file %s: belongs to user %u, must belong to root: chown root %s", path,
			file->st_uid, path);
	if (file->st_mode & 077)
		return sg_error_set(error, -EPERM,
			"key_file %s: others than root may use it (mode %04o): chmod 600 %s", path,
			file->st_mode & 07777, path);
	return 0;
}

// One line of what a header can carry; the blanks around it are none of it. Nothing of the key goes
// into the sentence.
static int check_text(const char *path, char *text, struct sg_error *error)
{
	size_t start = strspn(text, " \t\r\n"), length = strlen(text);

	while (length > start && strchr(" \t\r\n", text[length - 1]))
		length--;
	for (size_t i = start; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return sg_error_set(error, -EINVAL,
				"key_file %s: must hold one key: a line of printable characters "
				"without blanks",
				path);
	if (length == start)
		return sg_error_set(error, -EINVAL, "key_file %s: is empty", path);
	memmove(text, text + start, length - start);
	text[length - start] = 0;
	return 0;
}

// *ret_key is to be wiped and freed.
static int read_key(const char *key_file, char **ret_key, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int fd = -1;
	char path[PATH_MAX], *text = NULL;
	struct stat file;
	size_t length = 0;
	int r = path_of(key_file, path, sizeof(path), error);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &file) < 0)
		return sg_error_set(error, -errno, "key_file %s: %s", path, strerror(errno));
	r = check_file(path, &file, error);
	if (r < 0)
		return r;
	r = sg_fd_read_all(fd, SG_KEY_BYTES - 1, &text, &length);
	if (r < 0)
		return sg_error_set(error, r, "key_file %s: %s", path, strerror(-r));
	r = strlen(text) == length ? check_text(path, text, error)
				   : sg_error_set(error, -EINVAL, "key_file %s: is no text", path);
	if (r < 0) {
		explicit_bzero(text, length);
		free(text);
		return r;
	}
	*ret_key = text;
	return 0;
}

static void free_key(char *key)
{
	explicit_bzero(key, strlen(key));
	free(key);
}

// ---- Entries ----

static int check_names(const json_t *entry, struct sg_error *error)
{
	static const char *const known[] = { "agent", "provider", "key_file", "host", NULL };
	const char *name;
	json_t *value;

	if (!json_is_object(entry))
		return sg_error_set(error, -EINVAL, "must be an object");
	name = sg_json_unknown_key(entry, known);
	if (name)
		return sg_error_set(error, -EINVAL, "unknown key \"%s\"", name);
	json_object_foreach((json_t *)entry, name, value)
	{
		if (!json_string_length(value) || json_string_length(value) > 255)
			return sg_error_set(error, -EINVAL, "%s: must be a string", name);
	}
	for (size_t i = 0; i < 3; i++) // the host may be left out
		if (!json_object_get(entry, known[i]))
			return sg_error_set(error, -EINVAL, "%s is missing", known[i]);
	return 0;
}

static int check_entry(const json_t *entry, struct sg_error *error)
{
	const struct sg_provider *provider;
	const char *name;
	char *key;
	int r = check_names(entry, error);

	if (r < 0)
		return r;
	name = json_string_value(json_object_get(entry, "provider"));
	provider = sg_provider_by_name(name);
	if (!provider)
		return sg_error_set(error, -EINVAL,
			"unknown provider \"%.80s\": docs/providers.md has the names", name);
	if (!sg_provider_has_hosts(provider))
		return sg_error_set(error, -EINVAL,
			"provider \"%s\" has no hosts that a key could be sent to: name yours in "
			"\"providers\"",
			name);
	r = read_key(json_string_value(json_object_get(entry, "key_file")), &key, error);
	if (r == 0)
		free_key(key);
	return r;
}

int sg_keys_check(const json_t *list, const char *place, struct sg_error *error)
{
	if (!json_is_array(list))
		return sg_error_set(error, -EINVAL,
			"%s: must be a list of {\"agent\", \"provider\", \"key_file\"}", place);
	for (size_t i = 0; i < json_array_size(list); i++) {
		int r = check_entry(json_array_get(list, i), error);

		if (r < 0)
			return sg_error_prefix(error, r, "%s[%zu]: ", place, i);
	}
	return 0;
}

// ---- Agents ----

static int add_key(json_t *keys, const json_t *entry, struct sg_error *error)
{
	const json_t *host = json_object_get(entry, "host");
	json_t *item;
	char *key = NULL;
	int r = read_key(json_string_value(json_object_get(entry, "key_file")), &key, error);

	if (r < 0 || !key)
		return r;
	item = json_pack("{s:O, s:s, s:O*}", "provider", json_object_get(entry, "provider"), "key",
		key, "host", host);
	free_key(key);
	return json_array_append_new(keys, item) < 0 ? sg_error_set(error, -ENOMEM, "out of memory")
						     : 0;
}

int sg_keys_of_agent(
	const json_t *config, const char *agent, json_t **ret_keys, struct sg_error *error)
{
	json_t *keys = NULL, *entry;
	size_t index;
	int r = 0;

	json_array_foreach(json_object_get(config, "keys"), index, entry)
	{
		const char *pattern = json_string_value(json_object_get(entry, "agent"));

		if (r < 0 || fnmatch(pattern, agent, 0) != 0)
			continue;
		if (!keys)
			keys = json_array();
		r = add_key(keys, entry, error);
		if (r < 0)
			sg_error_prefix(error, r, "keys[%zu]: ", index);
	}
	if (r < 0) {
		sg_keys_wipe(keys);
		return r;
	}
	*ret_keys = keys;
	return 0;
}

void sg_keys_wipe(json_t *keys)
{
	size_t index;
	json_t *item;

	json_array_foreach(keys, index, item)
	{
		json_t *key = json_object_get(item, "key");

		explicit_bzero((char *)json_string_value(key), json_string_length(key));
	}
	json_decref(keys);
}
