// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "enforcer/body.h"
#include "enforcer/limits.h"

#define MIB (1u << 20)

static char piece[MIB];
static struct sg_body_share share;
static uint64_t disk_bytes = 1ull << 40, disk_left = 1ull << 39;

// The linker puts it in the place of the real one.
int __wrap_fstatvfs(int fd, struct statvfs *disk);
int __wrap_fstatvfs(int fd, struct statvfs *disk)
{
	(void)fd;
	*disk = (struct statvfs){
		.f_frsize = 4096, .f_blocks = disk_bytes / 4096, .f_bavail = disk_left / 4096
	};
	return 0;
}

static int append(struct sg_body *body, size_t length)
{
	return sg_body_append(body, piece, length, "/tmp");
}

static void small_bodies_take_no_room(void **state)
{
	struct sg_body body;

	(void)state;
	sg_body_init(&body, &share, 4 * MIB);
	assert_int_equal(append(&body, SG_BODY_UNCOUNTED_BYTES), 0);
	assert_int_equal(share.taken, 0);
	assert_int_equal(append(&body, 1), 0);
	assert_int_equal(share.taken, SG_BODY_STEP_BYTES);
	sg_body_done(&body);
	assert_int_equal(share.taken, 0);
}

static void all_bodies_together_have_a_limit(void **state)
{
	struct sg_body first, second;

	(void)state;
	sg_body_init(&first, &share, 4 * MIB);
	sg_body_init(&second, &share, 4 * MIB);
	for (int i = 0; i < 3; i++)
		assert_int_equal(append(&first, MIB), 0);
	assert_int_equal(append(&second, MIB), 0);
	assert_int_equal(append(&second, 1), -ENOBUFS);
	sg_body_done(&second);
	assert_int_equal(share.taken, 3 * MIB);

	// The room that was given back is there again.
	sg_body_init(&second, &share, 4 * MIB);
	assert_int_equal(append(&second, MIB), 0);
	sg_body_done(&second);
	sg_body_done(&first);
	assert_int_equal(share.taken, 0);
}

static void one_that_never_fits_is_too_large(void **state)
{
	struct sg_body body;

	(void)state;
	sg_body_init(&body, &share, 2 * MIB);
	assert_int_equal(append(&body, MIB), 0);
	assert_int_equal(append(&body, MIB), 0);
	assert_int_equal(append(&body, 1), -EFBIG);
	sg_body_done(&body);
	assert_int_equal(share.taken, 0);
}

static void what_is_in_a_file_is_read_back(void **state)
{
	struct sg_body body;
	char read[4];

	(void)state;
	memcpy(piece + SG_BODY_MEMORY_BYTES - 2, "abcd", 4);
	sg_body_init(&body, &share, 4 * MIB);
	assert_int_equal(append(&body, SG_BODY_MEMORY_BYTES), 0);
	assert_true(body.fd < 0);
	assert_int_equal(sg_body_append(&body, piece + SG_BODY_MEMORY_BYTES, MIB / 2, "/tmp"), 0);
	assert_true(body.fd >= 0);
	assert_int_equal(sg_body_read(&body, SG_BODY_MEMORY_BYTES - 2, read, 4), 4);
	assert_memory_equal(read, "abcd", 4);
	sg_body_done(&body);
}

static void the_ledger_has_the_last_of_the_disk(void **state)
{
	struct sg_body body;

	(void)state;
	disk_left = SG_BODY_RESERVE_BYTES + MIB;
	sg_body_init(&body, &share, 8 * MIB);
	assert_int_equal(append(&body, MIB), 0);
	disk_left -= MIB;
	assert_int_equal(append(&body, MIB), -ENOSPC);
	sg_body_done(&body);

	// In memory it needs none.
	sg_body_init(&body, &share, 8 * MIB);
	assert_int_equal(append(&body, SG_BODY_MEMORY_BYTES), 0);
	assert_int_equal(append(&body, 1), -ENOSPC);
	sg_body_done(&body);
	assert_int_equal(share.taken, 0);

	// Of a small disk a part is left.
	disk_bytes = 160 * MIB;
	disk_left = 12 * MIB;
	sg_body_init(&body, &share, 8 * MIB);
	assert_int_equal(append(&body, MIB), 0);
	disk_left = 10 * MIB;
	assert_int_equal(append(&body, MIB), -ENOSPC);
	sg_body_done(&body);
	assert_int_equal(share.taken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_bodies_take_no_room),
		cmocka_unit_test(all_bodies_together_have_a_limit),
		cmocka_unit_test(one_that_never_fits_is_too_large),
		cmocka_unit_test(what_is_in_a_file_is_read_back),
		cmocka_unit_test(the_ledger_has_the_last_of_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
