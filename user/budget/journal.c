// SPDX-License-Identifier: Apache-2.0
#include "budget/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"

#define MAGIC	     0x4c4e524a45544753ull // "SGTEJRNL"
#define VERSION	     1
#define HEADER_BYTES 4096

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t slot_bytes;
	uint32_t slot_count;
	uint32_t reserved;
	uint64_t epoch;
};

static uint32_t checksum(const struct sg_slot *slot)
{
	size_t start = offsetof(struct sg_slot, call_id), end = offsetof(struct sg_slot, charge);

	return (uint32_t)crc32(0, (const Bytef *)slot + start, (uInt)(end - start));
}

void sg_slot_hold(struct sg_slot *slot)
{
	slot->checksum = checksum(slot);
	atomic_store_explicit(&slot->state, SG_SLOT_HELD, memory_order_release);
}

bool sg_slot_is_whole(const struct sg_slot *slot)
{
	return slot->checksum == checksum(slot);
}

static int check_header(const struct header *header, const char *path, struct sg_error *error)
{
	if (header->magic == MAGIC && header->version == VERSION &&
		header->slot_bytes == sizeof(struct sg_slot) &&
		header->slot_count == SG_JOURNAL_SLOTS)
		return 0;
	return sg_error_set(error, -EBADMSG,
		"%s is no hold journal of this version, or it is damaged: move it aside, check the "
		"last calls in the ledger by hand, "
		"and start again",
		path);
}

static int map_file(struct sg_journal *journal, const char *path, struct sg_error *error)
{
	struct header *header;
	struct stat status;
	int r;

	if (fstat(journal->fd, &status) < 0)
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (status.st_size && (size_t)status.st_size < journal->map_bytes)
		return sg_error_set(error, -EBADMSG,
			"%s is cut short (%lld bytes): move it aside, check the last calls in the "
			"ledger by hand, and start again",
			path, (long long)status.st_size);
	// All of it now: a page that can't be written later would be a SIGBUS in the middle of a
	// call.
	r = -posix_fallocate(journal->fd, 0, (off_t)journal->map_bytes);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s (%zu MiB are needed)", path, strerror(-r),
			journal->map_bytes >> 20);
	journal->map =
		mmap(NULL, journal->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, journal->fd, 0);
	if (journal->map == MAP_FAILED) {
		journal->map = NULL;
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	}
	header = journal->map;
	if (!status.st_size)
		*header = (struct header){ MAGIC, VERSION, sizeof(struct sg_slot), SG_JOURNAL_SLOTS,
			0, 0 };
	r = check_header(header, path, error);
	if (r < 0)
		return r;
	journal->epoch = ++header->epoch;
	journal->slots = (struct sg_slot *)((char *)journal->map + HEADER_BYTES);
	return 0;
}

int sg_journal_open(const char *path, struct sg_journal *journal, struct sg_error *error)
{
	int r;

	*journal = (struct sg_journal){ .map_bytes = HEADER_BYTES +
						     SG_JOURNAL_SLOTS * sizeof(struct sg_slot) };
	journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (journal->fd < 0)
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	r = map_file(journal, path, error);
	if (r < 0) {
		sg_journal_close(journal);
		return r;
	}
	if (msync(journal->map, HEADER_BYTES, MS_SYNC) < 0) {
		r = sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
		sg_journal_close(journal);
	}
	return r;
}

void sg_journal_close(struct sg_journal *journal)
{
	if (journal->map)
		munmap(journal->map, journal->map_bytes);
	if (journal->fd >= 0)
		close(journal->fd);
	journal->map = NULL;
	journal->fd = -1;
}

int sg_journal_sync(const struct sg_journal *journal, const struct sg_slot *slot)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t offset = (size_t)((const char *)slot - (const char *)journal->map) & ~(page - 1);

	return msync((char *)journal->map + offset, page, MS_SYNC) < 0 ? -errno : 0;
}
