// SPDX-License-Identifier: Apache-2.0
// PKCS#12 is ASN.1 with encryption on top, made by whoever made the image: it is taken apart by a
// child that has no user, no files and hardly a system call.
#include "trust/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pkcs12.h>
#include <seccomp.h>

#include "base/fd.h"
#include "trust/jks.h"

#define NOBODY	      65534
#define CHILD_SECONDS 2
#define JKS_VERSION   2
#define LENGTH_BYTES  4

static const uint8_t jks_magic[] = { 0xfe, 0xed, 0xfe, 0xed };

static bool is_jks(const void *data, size_t length)
{
	return length >= sizeof(jks_magic) && memcmp(data, jks_magic, sizeof(jks_magic)) == 0;
}

// A sequence with a length of two or more bytes, then the version, 3.
static bool is_pkcs12(const uint8_t *data, size_t length)
{
	static const uint8_t version[] = { 0x02, 0x01, 0x03 };
	size_t head = length > 2 && data[1] >= 0x80 && data[1] <= 0x84 ? 2u + (data[1] & 0x7f) : 0;

	return head && data[0] == 0x30 && length > head + sizeof(version) &&
	       memcmp(data + head, version, sizeof(version)) == 0;
}

bool sg_keystore_is(const void *data, size_t length)
{
	return is_jks(data, length) || is_pkcs12(data, length);
}

// ---- In the child ----

static int put_certificate(struct sg_buf *out, X509 *certificate)
{
	uint8_t *der = NULL, head[LENGTH_BYTES];
	int length = i2d_X509(certificate, &der), r;

	if (length <= 0)
		return -EBADMSG;
	for (unsigned i = 0; i < LENGTH_BYTES; i++)
		head[i] = (uint8_t)((unsigned)length >> 8 * (LENGTH_BYTES - 1 - i));
	r = sg_buf_append(out, head, sizeof(head));
	if (r == 0)
		r = sg_buf_append(out, der, (size_t)length);
	OPENSSL_free(der);
	return r;
}

static int put_bags(struct sg_buf *out, const STACK_OF(PKCS12_SAFEBAG) * bags)
{
	int r = 0;

	for (int i = 0; r == 0 && i < sk_PKCS12_SAFEBAG_num(bags); i++) {
		const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
		X509 *certificate = PKCS12_SAFEBAG_get_nid(bag) == NID_certBag
					    ? PKCS12_SAFEBAG_get1_cert(bag)
					    : NULL;

		r = certificate ? put_certificate(out, certificate) : -EBADMSG;
		X509_free(certificate);
	}
	return r;
}

static int put_safe(struct sg_buf *out, PKCS7 *safe)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	int r;

	if (PKCS7_type_is_data(safe))
		bags = PKCS12_unpack_p7data(safe);
	else if (PKCS7_type_is_encrypted(safe))
		bags = PKCS12_unpack_p7encdata(
			safe, SG_KEYSTORE_PASSWORD, (int)strlen(SG_KEYSTORE_PASSWORD));
	r = bags ? put_bags(out, bags) : -EACCES;
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	return r;
}

int sg_pkcs12_certificates(struct sg_buf *out, const void *data, size_t length)
{
	const uint8_t *at = data;
	PKCS12 *file = length <= SG_KEYSTORE_LIMIT ? d2i_PKCS12(NULL, &at, (long)length) : NULL;
	STACK_OF(PKCS7) *safes = file ? PKCS12_unpack_authsafes(file) : NULL;
	int r = safes ? 0 : -EBADMSG;

	for (int i = 0; r == 0 && i < sk_PKCS7_num(safes); i++)
		r = put_safe(out, sk_PKCS7_value(safes, i));
	sk_PKCS7_pop_free(safes, PKCS7_free);
	PKCS12_free(file);
	return r;
}

// Memory, the pipe, and the end (which asks for the signal stack under a sanitizer).
static int leave_rights(void)
{
	static const int calls[] = { SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(brk), SCMP_SYS(mmap),
		SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
		SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
		SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack) };
	const struct rlimit none = { 0, 0 }, seconds = { CHILD_SECONDS, CHILD_SECONDS };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	if (r == 0 && (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_CPU, &seconds) < 0))
		r = -errno;
	if (r == 0 && getuid() == 0 &&
		(setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		r = -errno;
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n <= 0)
			return -EPIPE;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

// The pipe becomes its only descriptor.
static void be_child(int pipe_fd, const void *data, size_t length)
{
	struct sg_buf out = { .limit = SG_KEYSTORE_LIMIT };
	int r = 0;

	alarm(CHILD_SECONDS);
	if (dup2(pipe_fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0u, 0) < 0)
		r = -errno;
	if (r == 0)
		r = leave_rights();
	if (r == 0)
		r = sg_pkcs12_certificates(&out, data, length);
	if (r == 0)
		r = write_all(STDIN_FILENO, sg_buf_head(&out), sg_buf_length(&out));
	_exit(-r);
}

// ---- The parent ----

static int end_child(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EBADMSG;
}

static int ask_child(const void *data, size_t length, char **ret_list, size_t *ret_length)
{
	int fds[2], r, ended;
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		be_child(fds[1], data, length);
	close(fds[1]);
	if (child < 0) {
		close(fds[0]);
		return -errno;
	}
	r = sg_fd_read_all(fds[0], SG_KEYSTORE_LIMIT, ret_list, ret_length);
	close(fds[0]);
	ended = end_child(child);
	if (r == 0 && ended < 0) {
		free(*ret_list);
		r = ended;
	}
	return r;
}

// What the child wrote is read as if it were taken over: lengths are checked, contents are only
// copied.
static int next_certificate(const uint8_t *list, size_t length, size_t *offset, size_t *ret_length)
{
	size_t left = length - *offset, n = 0;

	if (left < LENGTH_BYTES)
		return -EBADMSG;
	for (unsigned i = 0; i < LENGTH_BYTES; i++)
		n = n << 8 | list[*offset + i];
	*offset += LENGTH_BYTES;
	if (n > left - LENGTH_BYTES)
		return -EBADMSG;
	*ret_length = n;
	return 0;
}

static int count_certificates(const uint8_t *list, size_t length, uint32_t *ret_count)
{
	uint32_t count = 0;
	size_t n;

	for (size_t offset = 0; offset < length; offset += n, count++)
		if (next_certificate(list, length, &offset, &n) < 0 || count >= SG_KEYSTORE_ENTRIES)
			return -EBADMSG;
	*ret_count = count;
	return 0;
}

static int put_list(struct sg_buf *out, const uint8_t *list, size_t length)
{
	unsigned number = 0;
	char alias[16];
	int r = 0;
	size_t n = 0;

	for (size_t offset = 0; r == 0 && offset < length; offset += n) {
		r = next_certificate(list, length, &offset, &n);
		snprintf(alias, sizeof(alias), "%u", number++);
		if (r == 0)
			r = sg_jks_put(out, JKS_VERSION, alias, list + offset, n);
	}
	return r;
}

static int add_to_pkcs12(struct sg_buf *out, const void *data, size_t length,
	const void *certificate, size_t certificate_length)
{
	char *list = NULL;
	size_t list_length = 0;
	uint32_t count;
	int r = ask_child(data, length, &list, &list_length);

	if (r < 0)
		return r;
	r = count_certificates((const uint8_t *)list, list_length, &count);
	if (r == 0)
		r = sg_jks_begin(out, JKS_VERSION, count + 1);
	if (r == 0)
		r = sg_jks_put(out, JKS_VERSION, "spendgate", certificate, certificate_length);
	if (r == 0)
		r = put_list(out, (const uint8_t *)list, list_length);
	free(list);
	return r < 0 ? r : sg_jks_end(out);
}

int sg_keystore_add(struct sg_buf *out, const void *data, size_t length, const void *certificate,
	size_t certificate_length)
{
	return is_jks(data, length)
		       ? sg_jks_add(out, data, length, certificate, certificate_length)
		       : add_to_pkcs12(out, data, length, certificate, certificate_length);
}
