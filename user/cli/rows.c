// SPDX-License-Identifier: Apache-2.0
#include "cli/rows.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/money.h"

#define CELL_BYTES 512

int sg_rows_format(const char *text, enum sg_rows_format *ret_format)
{
	static const char *const names[] = { "table", "csv", "jsonl" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++)
		if (strcmp(names[i], text) == 0) {
			*ret_format = (enum sg_rows_format)i;
			return 0;
		}
	return -EINVAL;
}

// ---- Cells ----

static const char *column_name(sqlite3_stmt *statement, int column)
{
	static const char *const shown[][2] = { { "nanousd", "usd" },
		{ "hold_nanousd", "hold_usd" }, { "at_ns", "at" } };
	const char *name = sqlite3_column_name(statement, column);

	for (size_t i = 0; name && i < SG_ARRAY_SIZE(shown); i++)
		if (strcmp(shown[i][0], name) == 0)
			return shown[i][1];
	return name ? name : "";
}

// Its text; *ret_number says whether that is a number.
static void cell_text(sqlite3_stmt *statement, int column, char *out, bool *ret_number)
{
	const char *name = sqlite3_column_name(statement, column);
	const unsigned char *text;

	*ret_number = false;
	if (name && strstr(name, "nanousd")) {
		sg_money_format(sqlite3_column_int64(statement, column), out, CELL_BYTES);
	} else if (name && strcmp(name, "at_ns") == 0) {
		sg_clock_format(sqlite3_column_int64(statement, column), out, CELL_BYTES);
	} else {
		*ret_number = sqlite3_column_type(statement, column) == SQLITE_INTEGER;
		text = sqlite3_column_text(statement, column);
		snprintf(out, CELL_BYTES, "%s", text ? (const char *)text : "");
	}
}

// ---- Formats ----

static void print_csv_cell(const char *text, FILE *out)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, out);
		return;
	}
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', out);
		putc(*text, out);
	}
	putc('"', out);
}

static void print_json(sqlite3_stmt *statement, FILE *out)
{
	json_t *row = json_object();
	char text[CELL_BYTES];
	bool number;

	for (int i = 0; i < sqlite3_column_count(statement); i++) {
		cell_text(statement, i, text, &number);
		json_object_set_new(row, column_name(statement, i),
			number ? json_integer(sqlite3_column_int64(statement, i))
			       : json_string(text));
	}
	json_dumpf(row, out, JSON_COMPACT);
	putc('\n', out);
	json_decref(row);
}

// Texts to the left, numbers to the right.
static void print_cells(sqlite3_stmt *statement, enum sg_rows_format format, bool head, FILE *out)
{
	char text[CELL_BYTES];
	bool number = false;

	for (int i = 0; i < sqlite3_column_count(statement); i++) {
		const char *name = column_name(statement, i);
		bool right;

		if (head)
			snprintf(text, sizeof(text), "%s", name);
		else
			cell_text(statement, i, text, &number);
		right = strcmp(name, "usd") == 0 || strcmp(name, "calls") == 0 ||
			strcmp(name, "input") == 0 || strcmp(name, "output") == 0 ||
			strcmp(name, "estimated") == 0;
		if (format == SG_ROWS_CSV) {
			if (i)
				putc(',', out);
			print_csv_cell(text, out);
		} else {
			fprintf(out, right ? "%s%14s" : "%s%-24s", i ? "  " : "", text);
		}
	}
	putc('\n', out);
}

int sg_rows_print(sqlite3_stmt *statement, enum sg_rows_format format, FILE *out)
{
	int status;

	if (format != SG_ROWS_JSON_LINES)
		print_cells(statement, format, true, out);
	while ((status = sqlite3_step(statement)) == SQLITE_ROW && !ferror(out)) {
		if (format == SG_ROWS_JSON_LINES)
			print_json(statement, out);
		else
			print_cells(statement, format, false, out);
	}
	if (ferror(out) || fflush(out) != 0)
		return errno ? -errno : -EPIPE;
	return status == SQLITE_DONE ? 0 : -EIO;
}
