// SPDX-License-Identifier: Apache-2.0
// Rows of a query of the ledger, printed: dollars exact, times as text.
#pragma once

#include <stdio.h>

#include <sqlite3.h>

#include "base/attr.h"

enum sg_rows_format { SG_ROWS_TABLE, SG_ROWS_CSV, SG_ROWS_JSON_LINES };

// "table", "csv", "jsonl". Returns 0 or -EINVAL.
int sg_rows_format(const char *text, enum sg_rows_format *ret_format) SG_WUNRES;

// Prints all rows. A column named nanousd is dollars (as "usd"), hold_nanousd too ("hold_usd"),
// at_ns a time ("at"). Returns 0, -EIO (the ledger), or -errno of writing.
int sg_rows_print(sqlite3_stmt *statement, enum sg_rows_format format, FILE *out) SG_WUNRES;
