// SPDX-License-Identifier: Apache-2.0
// Mistral's OCR: billed by the page. Fields: the provider's API reference, POST /v1/ocr.
#include <string.h>

#include "provider/api.h"

// The most that the provider takes in one document.
#define MAX_PAGES 1000

enum request_node { MODEL = 1, PAGES, PAGE, BOX_FORMAT, DOCUMENT_FORMAT };

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[PAGES - 1] = { SG_JSON_ROOT, "pages", 0 },
	[PAGE - 1] = { PAGES, NULL, 0 },
	[BOX_FORMAT - 1] = { SG_JSON_ROOT, "bbox_annotation_format", 0 },
	[DOCUMENT_FORMAT - 1] = { SG_JSON_ROOT, "document_annotation_format", BOX_FORMAT },
};

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case PAGES:
		// All of them, also where another list stands beside it.
		if (value->type != SG_JSON_ARRAY)
			facts->units.pages += MAX_PAGES + 1;
		break;
	case PAGE:
		// A range, or what else is no number, may be all of them.
		if (!value->end)
			facts->units.pages += value->type == SG_JSON_NUMBER ? 1 : MAX_PAGES;
		break;
	case BOX_FORMAT:
		if (value->type != SG_JSON_NULL)
			strcpy(facts->kind, SG_KIND_ANNOTATED);
		break;
	default:
		break;
	}
}

static void finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	facts->max_output = 0;
	facts->unbounded_input = !facts->units.pages || facts->units.pages > MAX_PAGES;
	if (!facts->units.pages || facts->units.pages > MAX_PAGES)
		facts->units.pages = MAX_PAGES;
	sg_request_add_reason(facts, "document_url");
}

enum response_node { R_MODEL = 1, R_USAGE, R_PAGES };

static const struct sg_json_path response_paths[] = {
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage_info", 0 },
	[R_PAGES - 1] = { R_USAGE, "pages_processed", 0 },
};

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (value->node == R_MODEL) {
		sg_value_copy(value, usage->model, sizeof(usage->model));
	} else if (value->node == R_USAGE) {
		if (!value->end)
			reader->usage_seen = value->type == SG_JSON_OBJECT;
	} else if (value->node == R_PAGES) {
		usage->units.pages = -1;
		sg_response_count(reader, value, &usage->units.pages);
	}
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	strcpy(usage->kind, reader->facts->kind);
	if (reader->usage_seen && usage->units.pages >= 0 && reader->complete)
		sg_response_settle_by_units(reader);
}

const struct sg_api sg_api_mistral_ocr = {
	.name = "ocr",
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.finish_request = finish_request,
	SG_READS_BOTH(response_paths, on_response),
	.finish_response = finish_response,
	.dialect = SG_DIALECT_MISTRAL,
};
