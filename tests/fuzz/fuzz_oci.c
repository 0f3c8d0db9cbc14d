// SPDX-License-Identifier: Apache-2.0
// Whatever a bundle's config.json is: it is refused, or changed by exactly what the shim adds, and
// is then still a good one. Its annotations are read as labels.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/labels.h"
#include "runc/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_labels(const json_t *config)
{
	struct sg_labels labels = { .all = json_object() };
	struct sg_error error = { "" };
	json_t *request = NULL;

	json_object_update(labels.all, json_object_get(config, "annotations"));
	if (sg_labels_request(&labels, "id", NULL, &request, &error) == 0 &&
		!json_is_string(json_object_get(request, "name")))
		abort();
	json_decref(request);
	sg_labels_release(&labels);
}

static void change(json_t *config)
{
	if (sg_oci_add_mount(config, "/source", "/destination") < 0 ||
		sg_oci_add_variable(config, "SPENDGATE_FUZZ", "1") < 0 ||
		sg_oci_add_hook(config, "/shim", json_array(), 1) < 0)
		abort();
	if (!sg_oci_variable(config, "SPENDGATE_FUZZ"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_error error = { "" };
	json_t *config = NULL, *again = NULL;
	char *text;

	if (sg_oci_parse((const char *)data, size, "fuzz", &config, &error) < 0) {
		if (!error.text[0])
			abort();
		return 0;
	}
	read_labels(config);
	change(config);
	text = json_dumps(config, JSON_COMPACT);
	if (!text || sg_oci_parse(text, strlen(text), "again", &again, &error) < 0 ||
		!json_equal(config, again))
		abort();
	free(text);
	json_decref(config);
	json_decref(again);
	return 0;
}
