// SPDX-License-Identifier: Apache-2.0
#include "redirect/pins.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "redirect/skel.h"

void sg_pins_of_agent(const struct sg_redirect *redirect, uint32_t agent_id, char *out, size_t size)
{
	snprintf(out, size, "%s/agents/%u", redirect->pin_directory, agent_id);
}

void sg_pins_before_of_agent(
	const struct sg_redirect *redirect, uint32_t agent_id, char *out, size_t size)
{
	snprintf(out, size, "%s/" SG_PINS_BEFORE "/agents/%u", redirect->pin_directory, agent_id);
}

void sg_pins_remove(const char *directory)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;

	if (!entries)
		return;
	while ((entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
	rmdir(directory);
}

int sg_pins_each_agent(struct sg_redirect *redirect, const char *folder,
	int (*visit)(struct sg_redirect *, uint32_t, const char *, void *), void *context)
{
	char path[PATH_MAX], directory[2 * PATH_MAX];
	struct dirent *entry;
	DIR *entries;
	int r = 0;

	snprintf(path, sizeof(path), "%s/%s", redirect->pin_directory, folder);
	entries = opendir(path);
	if (!entries)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(entries))) {
		uint32_t agent_id = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (!agent_id)
			continue;
		snprintf(directory, sizeof(directory), "%s/%u", path, agent_id);
		r = visit(redirect, agent_id, directory, context);
	}
	closedir(entries);
	return r;
}

static int remove_agent(struct sg_redirect *redirect SG_UNUSED, uint32_t agent_id SG_UNUSED,
	const char *directory, void *context SG_UNUSED)
{
	sg_pins_remove(directory);
	return 0;
}

// The maps last on the way out and first on the way back: as long as they are there, an opening
// that was broken off finds the other layout again.
static const char *const pinned_folders[] = { "agents", "service", "maps" };

// With the pins that are in them, below "" or "/before"; agents have folders of their own.
static void remove_folders(const struct sg_redirect *redirect, const char *below)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < SG_ARRAY_SIZE(pinned_folders); i++) {
		snprintf(path, sizeof(path), "%s%s/%s", redirect->pin_directory, below,
			pinned_folders[i]);
		sg_pins_remove(path);
	}
}

static void remove_before(const struct sg_redirect *redirect)
{
	char path[PATH_MAX];

	remove_folders(redirect, "/" SG_PINS_BEFORE);
	snprintf(path, sizeof(path), "%s/" SG_PINS_BEFORE, redirect->pin_directory);
	rmdir(path);
}

static int remove_pins(struct sg_redirect *redirect)
{
	int r = sg_pins_each_agent(redirect, "agents", remove_agent, NULL);

	if (r == 0)
		r = sg_pins_each_agent(redirect, SG_PINS_BEFORE "/agents", remove_agent, NULL);
	remove_folders(redirect, "");
	remove_before(redirect);
	if (rmdir(redirect->pin_directory) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

int sg_redirect_remove_all(const char *pin_directory)
{
	struct sg_redirect pins = { .skeleton = NULL };

	if ((size_t)snprintf(pins.pin_directory, sizeof(pins.pin_directory), "%s", pin_directory) >=
		sizeof(pins.pin_directory))
		return -ENAMETOOLONG;
	return remove_pins(&pins);
}

// ---- Another layout ----

static int move_folder(const struct sg_redirect *redirect, const char *from_folder,
	const char *to_folder, const char *name)
{
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(from, sizeof(from), "%s%s/%s", redirect->pin_directory, from_folder, name);
	snprintf(to, sizeof(to), "%s%s/%s", redirect->pin_directory, to_folder, name);
	return rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

int sg_pins_set_aside(const struct sg_redirect *redirect)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/" SG_PINS_BEFORE, redirect->pin_directory);
	r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(pinned_folders); i++)
		r = move_folder(redirect, "", "/" SG_PINS_BEFORE, pinned_folders[i]);
	return r;
}

void sg_pins_put_back(const struct sg_redirect *redirect)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/maps", redirect->pin_directory);
	sg_pins_remove(path);
	for (size_t i = SG_ARRAY_SIZE(pinned_folders); i > 0; i--)
		if (move_folder(redirect, "/" SG_PINS_BEFORE, "", pinned_folders[i - 1]) < 0)
			sg_log(SG_LOG_WARN, "pins", "path=%s/" SG_PINS_BEFORE "/%s reason=\"%s\"",
				redirect->pin_directory, pinned_folders[i - 1], strerror(errno));
	snprintf(path, sizeof(path), "%s/" SG_PINS_BEFORE, redirect->pin_directory);
	rmdir(path);
}

bool sg_redirect_is_set_aside(const struct sg_redirect *redirect, uint32_t agent_id)
{
	char before[PATH_MAX];

	sg_pins_before_of_agent(redirect, agent_id, before, sizeof(before));
	return access(before, F_OK) == 0;
}

static int count_agent(struct sg_redirect *redirect SG_UNUSED, uint32_t agent_id SG_UNUSED,
	const char *directory SG_UNUSED, void *context)
{
	unsigned *count = context;

	++*count;
	return 0;
}

unsigned sg_redirect_forget_before(struct sg_redirect *redirect)
{
	unsigned left = 0;

	if (sg_pins_each_agent(redirect, SG_PINS_BEFORE "/agents", count_agent, &left) < 0 || left)
		return left;
	remove_before(redirect);
	return 0;
}
