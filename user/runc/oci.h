// SPDX-License-Identifier: Apache-2.0
// A bundle's config.json, as far as the shim reads and changes it. One thread.
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Parses and checks: what is changed later has the type that the OCI specification gives it.
// `place` is for the sentence. Returns 0 or -errno with the sentence.
int sg_oci_parse(const char *text, size_t length, const char *place, json_t **ret_config,
	struct sg_error *error) SG_WUNRES;

int sg_oci_load(const char *path, json_t **ret_config, struct sg_error *error) SG_WUNRES;
int sg_oci_save(const char *path, const json_t *config, struct sg_error *error) SG_WUNRES;

// Appends a read-only bind mount. Returns 0 or -ENOMEM.
int sg_oci_add_mount(json_t *config, const char *source, const char *destination) SG_WUNRES;

// A variable of the first process, or NULL.
const char *sg_oci_variable(const json_t *config, const char *name);
int sg_oci_add_variable(json_t *config, const char *name, const char *value) SG_WUNRES;

// Takes out what an earlier start of this bundle put in: hooks whose first argument is `name`, and
// bind mounts of what is below `directory`.
void sg_oci_remove_own(json_t *config, const char *name, const char *directory);

// Appends to the createRuntime hooks: those that set the network up run before, those inside the
// container after it. Takes `arguments`.
int sg_oci_add_hook(json_t *config, const char *path, json_t *arguments, int timeout_s) SG_WUNRES;
