/* main.c - runs the tests that registered themselves; given a text, those whose name or file has it. */
#include "test.h"
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

static Test *tests;
static jmp_buf after_failure;

void test_add(Test *t)
{
	Test **at = &tests;
	while (*at && (strcmp((*at)->file, t->file) < 0 || (strcmp((*at)->file, t->file) == 0)))
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	printf("%s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	longjmp(after_failure, 1);
}

static bool passes(const Test *t)
{
	if (setjmp(after_failure) == 0) {
		t->run();
		return true;
	}
	printf("FAIL %s\n", t->name);
	return false;
}

int main(int argc, char **argv)
{
	int passed = 0, failed = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const Test *t = tests; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]) && !strstr(t->file, argv[1]))
			continue;
		if (passes(t))
			passed++;
		else
			failed++;
	}
	printf("%d passed, %d failed\n", passed, failed);
	/* A test that failed left what it held: a report of that as leaks would only bury why it failed. */
	if (failed)
		_exit(1);
	return 0;
}
