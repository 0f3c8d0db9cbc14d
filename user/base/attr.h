// SPDX-License-Identifier: Apache-2.0
// Compiler attributes as documentation. Any thread.
#pragma once

#define SG_WUNRES	__attribute__((warn_unused_result))
#define SG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SG_UNUSED	__attribute__((unused))
#define SG_CLEANUP(f)	__attribute__((cleanup(f)))

// Built with a sanitizer of addresses or threads: gcc and clang tell it in ways of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SG_UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SG_UNDER_SANITIZER 1
#endif
#endif

#define SG_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

// Moves ownership out of a variable that has a cleanup attribute.
#define SG_TAKE(p)                                                                                 \
	({                                                                                         \
		__typeof__(p) sg_taken_ = (p);                                                     \
		(p) = NULL;                                                                        \
		sg_taken_;                                                                         \
	})
