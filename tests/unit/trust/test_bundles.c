// SPDX-License-Identifier: Apache-2.0
// Which files of a root are merged and mounted over, as each distribution lays them out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "trust/bundles.h"

#define THEIRS "-----BEGIN CERTIFICATE-----\nVEhFSVJT\n-----END CERTIFICATE-----\n"
#define SECRET "-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n"

static char folder[] = "/tmp/spendgate-bundles-XXXXXX";
static char ca_path[] = "trust/ca.pem";

static const char *below(const char *path)
{
	static char whole[PATH_MAX];

	snprintf(whole, sizeof(whole), "%s/%s", folder, path);
	return whole;
}

static void put(const char *path, const char *text)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof(directory), "%s", below(path));
	*strrchr(directory, '/') = 0;
	assert_int_equal(sg_fd_make_directories(directory, 0755), 0);
	assert_int_equal(sg_fd_write_file(below(path), text, strlen(text), 0644), 0);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); // NOLINT(cert-env33-c): the test's own folder
}

// Mounts are noted as "destination" to the merged text.
static int note(void *context, const char *source, const char *destination)
{
	char *text;
	size_t length;

	if (sg_fd_read_file(source, 1 << 20, &text, &length) < 0)
		return -1;
	json_object_set_new(context, destination, json_stringn(text, length));
	free(text);
	return 0;
}

static json_t *merge(json_t *config)
{
	json_t *mounts = json_object();
	struct sg_root root = { .fd = -1 };
	struct sg_bundles bundles = {
		.run_directory = folder, .root = &root, .mount = note, .context = mounts
	};
	struct sg_error error = { "" };

	assert_int_equal(sg_root_open(config, folder, &root, &error), 0);
	assert_int_equal(sg_bundles_open(&bundles, &error), 0);
	assert_int_equal(sg_bundles_merge_usual(&bundles), 0);
	assert_int_equal(sg_bundles_merge(&bundles, "/custom/ca.pem"), 0);
	assert_int_equal(sg_bundles_mount_own(&bundles), 0);
	sg_bundles_close(&bundles);
	sg_root_close(&root);
	return mounts;
}

static void put_ca(void)
{
	char command[2 * PATH_MAX];

	assert_int_equal(sg_fd_make_directories(below("trust"), 0755), 0);
	snprintf(command, sizeof(command),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
		"/dev/null "
		"-out %s -subj /CN=test -days 1 2>/dev/null",
		below(ca_path));
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): fixed words
	put("trust/bundle.pem", "the host's");
}

static void test_layouts(void **state)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/var/lib/ca-certificates/ca-bundle.pem",
		"/usr/lib/python3.12/site-packages/certifi/cacert.pem",
		"/app/.venv/lib/python3.11/site-packages/certifi/cacert.pem",
		"/opt/conda/ssl/cacert.pem",
		"/opt/conda/envs/work/ssl/cacert.pem",
		"/opt/conda/envs/work/lib/python3.9/site-packages/certifi/cacert.pem",
		"/custom/ca.pem",
	};
	json_t *config = json_pack("{s:{s:s}}", "root", "path", "root"), *mounts;
	char *ca, path[PATH_MAX];
	size_t length;

	(void)state;
	put_ca();
	for (size_t i = 0; i < SG_ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "root%s", places[i]);
		put(path, "# comment\n" THEIRS SECRET);
	}
	put("root/etc/ssl/cert.pem", "nothing to trust");
	put("root/usr/lib/jvm/seventeen/lib/security/cacerts", "no store");
	assert_int_equal(symlink("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
				 below("root/etc/pki/tls-link")),
		0);
	assert_int_equal(sg_fd_read_file(below(ca_path), 1 << 20, &ca, &length), 0);
	mounts = merge(config);
	for (size_t i = 0; i < SG_ARRAY_SIZE(places); i++) {
		const char *text = json_string_value(json_object_get(mounts, places[i]));

		if (!text)
			fail_msg("%s is not mounted", places[i]);
		assert_memory_equal(text, ca, length);
		assert_string_equal(text + length, THEIRS); // and no secret, no comment
	}
	assert_string_equal(json_string_value(json_object_get(mounts, SG_BUNDLES_CA)), ca);
	assert_non_null(
		strstr(json_string_value(json_object_get(mounts, SG_BUNDLES_BUNDLE)), THEIRS));
	assert_int_equal(json_object_size(mounts), SG_ARRAY_SIZE(places) + 2);
	json_decref(mounts);
	json_decref(config);
	free(ca);
}

// A link that leads out of the root, or to a file of the reading process, is not followed there.
static void test_links(void **state)
{
	json_t *config = json_pack("{s:{s:s}}", "root", "path", "links"), *mounts;

	(void)state;
	put("outside.pem", THEIRS);
	put("links/etc/ssl/readme", "");
	assert_int_equal(symlink("../../../outside.pem", below("links/etc/ssl/cert.pem")), 0);
	assert_int_equal(symlink("/proc/self/environ", below("links/etc/ssl/ca-bundle.pem")), 0);
	mounts = merge(config);
	assert_int_equal(json_object_size(mounts), 2);
	assert_string_equal(
		json_string_value(json_object_get(mounts, SG_BUNDLES_BUNDLE)), "the host's");
	json_decref(mounts);
	json_decref(config);
}

// What no start has asked for in a day goes when something new is made; what one asks for stays.
static void test_unused(void **state)
{
	const struct timespec long_ago = { .tv_sec = time(NULL) - 2 * (time_t)86400 },
			      times[2] = { long_ago, long_ago };
	json_t *config = json_pack("{s:{s:s}}", "root", "path", "used"), *mounts;
	struct dirent *entry;
	unsigned count = 0;
	DIR *entries;

	(void)state;
	put("used/etc/ssl/cert.pem", THEIRS "used");
	json_decref(merge(config));
	entries = opendir(below("trust/merged"));
	assert_non_null(entries);
	while ((entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			assert_int_equal(utimensat(dirfd(entries), entry->d_name, times, 0), 0);
	put("used/opt/conda/ssl/cacert.pem", THEIRS "new");
	mounts = merge(config);
	assert_non_null(json_object_get(mounts, "/etc/ssl/cert.pem"));
	assert_non_null(json_object_get(mounts, "/opt/conda/ssl/cacert.pem"));
	rewinddir(entries);
	while ((entry = readdir(entries)))
		count += entry->d_name[0] != '.';
	assert_int_equal(count, 2);
	closedir(entries);
	json_decref(mounts);
	json_decref(config);
}

// What is no regular file is not even opened: of a device that alone may do something. A pipe
// stands for it.
static void test_devices(void **state)
{
	static const char *const paths[] = { "/etc/ssl/cert.pem", "/mounted", "/folder/cert.pem" };
	json_t *config = json_pack("{s:{s:s}, s:[{s:s, s:o}, {s:s, s:o}]}", "root", "path",
		"devices", "mounts", "destination", "/mounted", "source",
		json_string(below("devices/etc/ssl/cert.pem")), "destination", "/folder", "source",
		json_string(below("devices/etc/ssl")));
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct sg_root root = { .fd = -1 };
	struct sg_error error = { "" };
	char path[PATH_MAX], *data, event[512];
	size_t length;

	(void)state;
	assert_int_equal(sg_fd_make_directories(below("devices/etc/ssl"), 0755), 0);
	assert_int_equal(mkfifo(below("devices/etc/ssl/cert.pem"), 0644), 0);
	assert_true(inotify_add_watch(watch, below("devices/etc/ssl/cert.pem"), IN_OPEN) >= 0);
	assert_int_equal(sg_root_open(config, folder, &root, &error), 0);
	for (size_t i = 0; i < SG_ARRAY_SIZE(paths); i++)
		assert_int_equal(
			sg_root_read(&root, paths[i], 1 << 20, path, &data, &length), -EINVAL);
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	assert_int_equal(errno, EAGAIN);
	sg_root_close(&root);
	close(watch);
	json_decref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_unused),
		cmocka_unit_test(test_devices),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
