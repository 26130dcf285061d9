/* test.h - tests that register themselves.
 *
 *     TEST(sizes_add_up) { CHECK_INT(add(2, 2), 4); }
 *
 * A failed check prints where and what, and ends the test. The binary takes part of a test's name to run only those.
 */
#ifndef GRAFT_TEST_H
#define GRAFT_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Test { const char *name, *file; void (*run)(void); struct Test *next; } Test;
void test_add(Test *t);
void test_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4), noreturn));

#define TEST(name)                                                                      \
	static void test_##name(void);                                                  \
	static Test entry_##name = { #name, __FILE__, test_##name, NULL };              \
	__attribute__((constructor)) static void add_##name(void) { test_add(&entry_##name); } \
	static void test_##name(void)

#define CHECK(expr)                                                                     \
	do {                                                                            \
		if (!(expr))                                                            \
			test_fail(__FILE__, __LINE__, "not so: %s", #expr);             \
	} while (0)

#define CHECK_INT(a, b)                                                                 \
	do {                                                                            \
		long long a_ = (long long)(a), b_ = (long long)(b);                     \
		if (a_ != b_)                                                           \
			test_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #a, a_, b_); \
	} while (0)

#define CHECK_STR(a, b)                                                                         \
	do {                                                                                    \
		const char *a_ = (a), *b_ = (b);                                                \
		if (!a_ || strcmp(a_, b_) != 0)                                                 \
			test_fail(__FILE__, __LINE__, "%s is\n    \"%s\", not\n    \"%s\"", #a, \
			          a_ ? a_ : "(null)", b_);                                      \
	} while (0)

/* The text holds this part. */
#define CHECK_HAS(a, part)                                                                          \
	do {                                                                                        \
		const char *a_ = (a), *part_ = (part);                                              \
		if (!a_ || !strstr(a_, part_))                                                      \
			test_fail(__FILE__, __LINE__, "%s is\n    \"%s\", without\n    \"%s\"", #a, \
			          a_ ? a_ : "(null)", part_);                                       \
	} while (0)

#endif
