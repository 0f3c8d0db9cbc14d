// SPDX-License-Identifier: Apache-2.0
// File descriptors: closing by scope, flags, whole-file reads. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "base/attr.h"

static inline void sg_fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define SG_CLEANUP_CLOSE SG_CLEANUP(sg_fd_closep)

static inline int sg_fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

// Returns 0 or -errno.
int sg_fd_set_nonblocking(int fd) SG_WUNRES;

// Reads to the end, at most `limit` bytes; *ret_data is NUL-terminated and freed by the caller.
// Returns 0 or -errno (-EFBIG over the limit).
int sg_fd_read_all(int fd, size_t limit, char **ret_data, size_t *ret_length) SG_WUNRES;

// Reads a whole file of at most `limit` bytes; *ret_data is NUL-terminated and freed by the caller.
// Returns 0 or -errno (-EFBIG over the limit).
int sg_fd_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_length) SG_WUNRES;

// Writes a file under a temporary name and renames it, so that a reader sees the old or the new
// whole. Returns 0 or -errno.
int sg_fd_write_file(const char *path, const void *data, size_t length, unsigned mode) SG_WUNRES;

// The same for what is made anew after a loss of power: nobody waits for the disk.
int sg_fd_replace_file(const char *path, const void *data, size_t length, unsigned mode) SG_WUNRES;

// The path that the kernel knows an open file by. Returns 0 or -errno (-ENAMETOOLONG).
int sg_fd_path(int fd, char *out, size_t size) SG_WUNRES;

// The path of the running program, and of another one beside it. Returns 0 or -errno.
int sg_fd_own_program(char *out, size_t size) SG_WUNRES;
int sg_fd_program_beside(const char *name, char *out, size_t size) SG_WUNRES;

// mkdir -p. Returns 0 or -errno.
int sg_fd_make_directories(const char *path, unsigned mode) SG_WUNRES;

// Opens /dev/null in place of whichever of the three standard descriptors is closed, so that no
// file of ours gets its number and is then written to as if it were a terminal. The first thing
// that a program does. Returns 0 or -errno.
int sg_fd_fill_standard(void) SG_WUNRES;
