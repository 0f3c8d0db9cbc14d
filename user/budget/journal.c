// SPDX-License-Identifier: Apache-2.0
#include "budget/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"
#include "budget/journal_before.h"

#define MAGIC	     0x4c4e524a45544753ull // "SGTEJRNL"
#define VERSION	     4
#define WITH_RAISES  3 // a version before: names in fields of their own
#define NO_RAISES    2 // and one whose holds were never raised
#define HEADER_BYTES 4096
#define BOOT_ID	     "/proc/sys/kernel/random/boot_id"

// What stands before `checksum` is written once and under it. The rest changes field by field, each
// in a store that is whole at any instruction; boot_id is compared only while in_use, and a
// half-written one is merely another one.
struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t slot_bytes;
	uint32_t slot_count;
	uint32_t checksum;
	uint64_t epoch;
	uint32_t has_ledger;
	uint32_t in_use;
	char boot_id[40];
};

static uint32_t header_checksum(const struct header *header)
{
	return (uint32_t)crc32(0, (const Bytef *)header, (uInt)offsetof(struct header, checksum));
}

static int fail(const char *path, int r, struct sg_error *error)
{
	return sg_error_set(error, r, "%s: %s", path, strerror(-r));
}

static struct header header_of(uint32_t version, uint32_t slot_count)
{
	struct header header = { .magic = MAGIC,
		.version = version,
		.slot_bytes = sizeof(struct sg_slot),
		.slot_count = slot_count };

	header.checksum = header_checksum(&header);
	return header;
}

// In one piece, of which the end of this process can't make two.
static int write_header(int fd)
{
	const struct header header = header_of(VERSION, SG_JOURNAL_SLOTS);

	if (pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_directory_of(const char *path)
{
	char directory[PATH_MAX];
	SG_CLEANUP_CLOSE int fd = -1;

	snprintf(directory, sizeof(directory), "%s", path);
	fd = open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

// Under another name until it is whole, so that a journal that is cut short is never one that was
// being made.
static int make_file(const char *path, size_t bytes, struct sg_error *error)
{
	char temporary[PATH_MAX];
	SG_CLEANUP_CLOSE int fd = -1;
	int r;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(temporary, -errno, error);
	// All of it now: a page that can't be written later would be a SIGBUS in the middle of a
	// call.
	r = -posix_fallocate(fd, 0, (off_t)bytes);
	if (r == 0)
		r = write_header(fd);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		r = sync_directory_of(path);
	if (r == 0)
		return 0;
	unlink(temporary);
	return sg_error_set(error, r, "%s: %s (%zu MiB are needed: make room and start again)",
		path, strerror(-r), (bytes + (1 << 20) - 1) >> 20);
}

// Does the fixed part of a header say so?
static bool is_of(const struct header *header, uint32_t version, uint32_t slot_count)
{
	const struct header expected = header_of(version, slot_count);

	return memcmp(header, &expected, offsetof(struct header, epoch)) == 0;
}

static int check_header(const struct header *header, const char *path, struct sg_error *error)
{
	if (is_of(header, VERSION, SG_JOURNAL_SLOTS))
		return 0;
	return sg_error_set(error, -EBADMSG,
		"%s is no hold journal of this version, or it is damaged: move it aside, check the "
		"last calls in the "
		"ledger by hand, and start again",
		path);
}

// The same calls in a file of this version, which takes the place of the one before: all of it or
// nothing.
static int write_anew(const char *before, const char *path)
{
	const struct header *old = (const struct header *)before;
	size_t bytes = HEADER_BYTES + SG_JOURNAL_SLOTS * sizeof(struct sg_slot);
	char *after = calloc(1, bytes);
	struct header header = *old;
	const struct header fixed = header_of(VERSION, SG_JOURNAL_SLOTS);
	int r;

	if (!after)
		return -ENOMEM;
	memcpy(&header, &fixed, offsetof(struct header, epoch));
	memcpy(after, &header, sizeof(header));
	sg_slots_take_over(before + HEADER_BYTES, old->version == WITH_RAISES,
		(struct sg_slot *)(after + HEADER_BYTES));
	r = sg_fd_write_file(path, after, bytes, 0600);
	free(after);
	return r;
}

static int bring_up_to_date(const char *path, struct sg_error *error)
{
	const size_t bytes = HEADER_BYTES + SG_SLOTS_BEFORE * SG_SLOT_BYTES_BEFORE;
	char *before = NULL;
	size_t length;
	int r = sg_fd_read_file(path, bytes, &before, &length);

	if (r == 0 && length == bytes &&
		(is_of((struct header *)before, WITH_RAISES, SG_SLOTS_BEFORE) ||
			is_of((struct header *)before, NO_RAISES, SG_SLOTS_BEFORE)))
		r = write_anew(before, path);
	free(before);
	return r < 0 ? fail(path, r, error) : 0;
}

// There is a file of this version then, or one that is to be told of.
static int prepare_file(const char *path, size_t bytes, struct sg_error *error)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return errno == ENOENT ? make_file(path, bytes, error) : fail(path, -errno, error);
	return status.st_size < (off_t)bytes ? bring_up_to_date(path, error) : 0;
}

static int map_file(struct sg_journal *journal, const char *path, struct sg_error *error)
{
	struct stat status;
	int r;

	if (fstat(journal->fd, &status) < 0)
		return fail(path, -errno, error);
	if ((size_t)status.st_size < journal->map_bytes)
		return sg_error_set(error, -EBADMSG,
			"%s is cut short (%lld bytes): move it aside, check the last calls in the "
			"ledger by hand, and "
			"start again",
			path, (long long)status.st_size);
	// A copy that was put back may have holes.
	r = -posix_fallocate(journal->fd, 0, (off_t)journal->map_bytes);
	if (r < 0)
		return fail(path, r, error);
	journal->map =
		mmap(NULL, journal->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, journal->fd, 0);
	if (journal->map == MAP_FAILED) {
		journal->map = NULL;
		return fail(path, -errno, error);
	}
	return check_header(journal->map, path, error);
}

// ---- Opening and closing ----

// "" when it can't be read: then every journal that was not closed counts as one that the machine
// went down with.
static void read_boot_id(char *out, size_t size)
{
	char *text = NULL;
	size_t length;

	memset(out, 0, size);
	if (sg_fd_read_file(BOOT_ID, 4096, &text, &length) == 0)
		memcpy(out, text, length < size - 1 ? length : size - 1);
	free(text);
}

static void read_header(struct sg_journal *journal)
{
	const struct header *header = journal->map;
	char boot_id[sizeof(header->boot_id)];

	assert(header); // mapped before
	read_boot_id(boot_id, sizeof(boot_id));
	journal->epoch = header->epoch;
	journal->ledger_expected = header->has_ledger;
	journal->machine_went_down =
		header->in_use &&
		(!boot_id[0] || memcmp(boot_id, header->boot_id, sizeof(boot_id)) != 0);
	journal->slots = (struct sg_slot *)((char *)journal->map + HEADER_BYTES);
}

int sg_journal_open(const char *path, struct sg_journal *journal, struct sg_error *error)
{
	int r;

	*journal = (struct sg_journal){ .fd = -1,
		.map_bytes = HEADER_BYTES + SG_JOURNAL_SLOTS * sizeof(struct sg_slot) };
	r = prepare_file(path, journal->map_bytes, error);
	if (r < 0)
		return r;
	journal->fd = open(path, O_RDWR | O_CLOEXEC);
	if (journal->fd < 0)
		return fail(path, -errno, error);
	r = map_file(journal, path, error);
	if (r < 0) {
		sg_journal_close(journal);
		return r;
	}
	read_header(journal);
	return 0;
}

int sg_journal_begin(struct sg_journal *journal, uint64_t last_epoch)
{
	struct header *header = journal->map;

	journal->epoch = (journal->epoch > last_epoch ? journal->epoch : last_epoch) + 1;
	header->epoch = journal->epoch;
	header->has_ledger = 1;
	read_boot_id(header->boot_id, sizeof(header->boot_id));
	header->in_use = 1;
	journal->in_use = true;
	return msync(journal->map, HEADER_BYTES, MS_SYNC) < 0 ? -errno : 0;
}

void sg_journal_close(struct sg_journal *journal)
{
	struct header *header = journal->map;

	if (header && journal->in_use)
		header->in_use = 0;
	if (header)
		munmap(header, journal->map_bytes);
	if (journal->fd >= 0)
		close(journal->fd);
	*journal = (struct sg_journal){ .fd = -1 };
}

int sg_journal_sync(const struct sg_journal *journal, const struct sg_slot *slot)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t offset = (size_t)((const char *)slot - (const char *)journal->map) & ~(page - 1);

	return msync((char *)journal->map + offset, page, MS_SYNC) < 0 ? -errno : 0;
}
