// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic int max_level = SG_LOG_INFO;

void sg_log_set_level(enum sg_log_level level)
{
	atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

bool sg_log_takes(enum sg_log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

static const char *level_name(enum sg_log_level level)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	return names[level];
}

// A log line is one line: what an agent put into a name must not forge another.
static void escape_controls(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
}

static bool is_word(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("\"=\\", text[i]))
			return false;
	return length > 0;
}

const char *sg_log_value(const char *text, size_t length, char *out, size_t size)
{
	bool word;
	char *end = out;

	length = strnlen(text, length);
	if (length > size - 3)
		length = size - 3;
	word = is_word(text, length);
	if (!word)
		*end++ = '"';
	for (size_t i = 0; i < length; i++)
		*end++ = strchr("\"\\", text[i]) ? '?' : text[i];
	if (!word)
		*end++ = '"';
	*end = 0;
	return out;
}

void sg_log(enum sg_log_level level, const char *event, const char *format, ...)
{
	char line[2048], stamp[32];
	va_list arguments;
	int used, added;
	size_t length;
	ssize_t written;

	if (!sg_log_takes(level))
		return;
	sg_clock_format(sg_clock_wall_ns(), stamp, sizeof(stamp));
	used = snprintf(line, sizeof(line) - 1, "%s %s event=%s ", stamp, level_name(level), event);
	va_start(arguments, format);
	added = vsnprintf(line + used, sizeof(line) - 1 - (size_t)used, format, arguments);
	va_end(arguments);
	length = (size_t)used + (added > 0 ? (size_t)added : 0);
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	escape_controls(line, length);
	line[length] = '\n';
	written = write(STDERR_FILENO, line, length + 1);
	(void)written; // there is nowhere to report that the log can't be written
}
