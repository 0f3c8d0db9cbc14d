// SPDX-License-Identifier: Apache-2.0
// The audit log: one JSON object a line, with "at" and "event" first. A thread of its own writes,
// so that no call waits for a disk. The file may be renamed or cut at any time (log rotation): the
// next line goes to the path.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"

struct sg_audit;

int sg_audit_open(const char *path, struct sg_audit **ret_audit) SG_WUNRES;

// Writes what is waiting, and ends. Accepts NULL.
struct sg_audit *sg_audit_close(struct sg_audit *audit);

// Queues a line; takes `fields` (NULL: nothing is written, and that is logged). Any thread. Where
// lines come faster than the disk takes them some are lost, and a line says how many; a `must_keep`
// one never is.
void sg_audit_write(struct sg_audit *audit, const char *event, bool must_keep, json_t *fields);

// Waits until everything queued before is in the file.
void sg_audit_flush(struct sg_audit *audit);

// The newest `count` lines, oldest first, as a list of objects; of one agent unless NULL. Lines
// that are no JSON are left out. New reference, or NULL on -ENOMEM.
json_t *sg_audit_tail(struct sg_audit *audit, size_t count, const char *agent);
