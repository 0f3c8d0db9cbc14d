// SPDX-License-Identifier: Apache-2.0
// Labels of images, as engines keep them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "container/image.h"
#include "container/labels.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define IMAGE "aaaa000000000000000000000000000000000000000000000000000000000001"
#define OTHER "aaaa000000000000000000000000000000000000000000000000000000000002"

static char folder[64];

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/spendgate-image-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); // NOLINT(cert-env33-c)
}

static void put(const char *name, const char *text)
{
	char path[PATH_MAX], *slash;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	slash = strrchr(path, '/');
	*slash = 0;
	assert_int_equal(sg_fd_make_directories(path, 0700), 0);
	*slash = '/';
	assert_int_equal(sg_fd_replace_file(path, text, strlen(text), 0600), 0);
}

// What the shim finds of the container whose root is `root` below the folder.
static void read_labels(const char *root, const char *annotations, struct sg_labels *ret_labels)
{
	struct sg_error error = { "" };
	json_t *config =
		json_pack("{s:{s:o}, s:o}", "root", "path", json_sprintf("%s/%s", folder, root),
			"annotations", json_loads(annotations, 0, NULL));

	assert_non_null(config);
	if (sg_labels_read(config, ID, ret_labels, &error) < 0)
		fail_msg("%s", error.text);
	json_decref(config);
}

static void expect_image(const char *root, const char *annotations, const char *expected)
{
	json_t *wanted = expected ? json_loads(expected, 0, NULL) : NULL;
	struct sg_labels labels;

	read_labels(root, annotations, &labels);
	if (expected ? !json_equal(labels.image, wanted) : labels.image != NULL)
		fail_msg("%s: the image's labels are %s", root, json_dumps(labels.image, 0));
	json_decref(wanted);
	sg_labels_release(&labels);
}

static void put_docker(const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{\"Driver\": \"overlay2\", %s, \"Name\": \"/n\", \"Config\": {\"Labels\": {\"a\": "
		"\"1\", \"b\": \"2\"}}}",
		more);
	put("docker/containers/" ID "/config.v2.json", text);
}

static void test_docker(void **state)
{
	static const char root[] = "docker/overlay2/layer/merged";

	(void)state;
	put("docker/image/overlay2/imagedb/content/sha256/" IMAGE,
		"{\"config\": {\"Labels\": {\"a\": \"1\"}}}");
	put("docker/image/overlay2/imagedb/content/sha256/" OTHER,
		"{\"config\": {\"Labels\": null}}");
	put_docker("\"Image\": \"sha256:" IMAGE "\"");
	expect_image(root, "{}", "{\"a\": \"1\"}");
	put_docker("\"Image\": \"sha256:" OTHER "\"");
	expect_image(root, "{}", "{}");
	// Not found: any may be the image's.
	put_docker("\"Image\": \"sha256:" IMAGE "ff\"");
	expect_image(root, "{}", "{\"a\": \"1\", \"b\": \"2\"}");
	put_docker("\"Image\": \"sha256:../../../../../x\"");
	expect_image(root, "{}", "{\"a\": \"1\", \"b\": \"2\"}");
	put_docker("\"Image\": \"\"");
	expect_image(root, "{}", "{\"a\": \"1\", \"b\": \"2\"}");
}

static void test_containerd(void **state)
{
	static const char blobs[] =
		"docker/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/";
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s%s", blobs, IMAGE);
	put(path, "{\"config\": {\"digest\": \"sha256:" OTHER "\"}}");
	snprintf(path, sizeof(path), "%s%s", blobs, OTHER);
	put(path, "{\"config\": {\"Labels\": {\"b\": \"2\"}}}");
	put_docker("\"Image\": \"sha256:ffff\", \"ImageManifest\": {\"digest\": \"sha256:" IMAGE
		   "\"}");
	expect_image("docker/rootfs/overlayfs/" ID, "{}", "{\"b\": \"2\"}");
}

static void test_podman(void **state)
{
	static const char root[] = "store/overlay/layer/merged", given[] = "{\"a\": \"1\"}";

	(void)state;
	put("store/overlay-containers/containers.json",
		"[{\"id\": \"x\"}, {\"id\": \"" ID "\", \"image\": \"" IMAGE "\"}]");
	put("store/overlay-images/" IMAGE "/manifest", "{\"annotations\": {\"c\": \"3\"}}");
	expect_image(root, given, "{\"c\": \"3\"}");
	put("store/overlay-images/" IMAGE "/manifest", "{\"layers\": []}");
	expect_image(root, given, "{}");
	put("store/overlay-containers/containers.json", "[]");
	expect_image(root, given, given);
	// No store, no image: containerd's client, or a root that podman was shown.
	expect_image("elsewhere/rootfs", given, NULL);
}

// Engines decode what an image's author wrote with Go's encoding/json, which folds the case of keys
// and merges what is there twice. All labels are then the image's.
static void test_read_otherwise(void **state)
{
	static const char *const configs[] = {
		"{\"config\": {\"labels\": {\"b\": \"2\"}}}",
		"{\"config\": {\"Labels\": {}, \"LABELS\": {\"b\": \"2\"}}}",
		"{\"config\": {\"Labels\": {\"b\": \"2\"}, \"Labels\": {}}}",
		"{\"config\": {\"Label\u017f\": {\"b\": \"2\"}}}",
		"{\"Config\": {\"Labels\": {\"b\": \"2\"}}, \"config\": {}}",
		"{\"config\": {\"Labels\": {\"b\": \"2\"}}, \"config\": {\"Cmd\": []}}",
		"{\"config\": {\"Labels\": {\"b\": null}}}",
	};
	static const char *const manifests[] = {
		"{\"Annotations\": {\"a\": \"1\"}}",
		"{\"annotations\": {}, \"annotation\u017f\": {\"a\": \"1\"}}",
		"{\"annotations\": {\"a\": \"1\"}, \"annotations\": {}}",
	};
	static const char given[] = "{\"a\": \"1\"}", all[] = "{\"a\": \"1\", \"b\": \"2\"}";

	(void)state;
	put_docker("\"Image\": \"sha256:" IMAGE "\"");
	for (size_t i = 0; i < SG_ARRAY_SIZE(configs); i++) {
		put("docker/image/overlay2/imagedb/content/sha256/" IMAGE, configs[i]);
		expect_image("docker/overlay2/layer/merged", "{}", all);
	}
	// A key that merely looks alike is another.
	put("docker/image/overlay2/imagedb/content/sha256/" IMAGE,
		"{\"config\": {\"Labels\": {\"B\": \"2\"}, \"Labelss\": {}}, \"\u212aonfig\": {}}");
	expect_image("docker/overlay2/layer/merged", "{}", "{\"B\": \"2\"}");

	put("store/overlay-containers/containers.json",
		"[{\"id\": \"" ID "\", \"image\": \"" IMAGE "\"}]");
	for (size_t i = 0; i < SG_ARRAY_SIZE(manifests); i++) {
		put("store/overlay-images/" IMAGE "/manifest", manifests[i]);
		expect_image("store/overlay/layer/merged", given, given);
	}
}

// containerd's manifest names the image's config: each member on the way counts.
static void test_manifest_read_otherwise(void **state)
{
	static const char blobs[] =
		"docker/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/";
	static const char *const manifests[] = {
		"{\"config\": {\"digest\": \"sha256:" OTHER "\"}, \"Config\": {\"digest\": \"x\"}}",
		"{\"config\": {\"digest\": \"sha256:" OTHER "\", \"Digest\": \"x\"}}",
		"{\"config\": {\"digest\": \"x\", \"digest\": \"sha256:" OTHER "\"}}",
	};
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s%s", blobs, OTHER);
	put(path, "{\"config\": {\"Labels\": {\"b\": \"2\"}}}");
	put_docker("\"Image\": \"sha256:ffff\", \"ImageManifest\": {\"digest\": \"sha256:" IMAGE
		   "\"}");
	snprintf(path, sizeof(path), "%s%s", blobs, IMAGE);
	for (size_t i = 0; i < SG_ARRAY_SIZE(manifests); i++) {
		put(path, manifests[i]);
		expect_image("docker/rootfs/overlayfs/" ID, "{}", "{\"a\": \"1\", \"b\": \"2\"}");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docker),
		cmocka_unit_test(test_containerd),
		cmocka_unit_test(test_podman),
		cmocka_unit_test(test_read_otherwise),
		cmocka_unit_test(test_manifest_read_otherwise),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
