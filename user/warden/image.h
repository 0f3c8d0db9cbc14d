// SPDX-License-Identifier: Apache-2.0
// What the image of a container asks for by labels of its own. Whoever makes an image is not who
// runs it: its labels may make limits tighter, and loosen none, unless the configuration trusts
// them (image_labels). Main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// `request` as in spendgate/control.h. *ret_request is a new reference: the request with what its
// "image" may ask for, and no "image". It is judged once, when its agent is registered: what it
// then got is tight under any configuration that comes later, or was trusted. Returns 0, -EINVAL
// with the sentence, or -ENOMEM.
int sg_image_apply(const json_t *config, const json_t *request, json_t **ret_request,
	struct sg_error *error) SG_WUNRES;
