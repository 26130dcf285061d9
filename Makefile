# graft - make, make check, make bless, make bench, make docs, make install, make clean; for GPUs make hip, check-hip, bench-hip
#
#   build/obj      the product, optimised            build/graft  build/libgraft.so  build/libgraft.a
#   build/check    everything once more under ASan and UBSan, with the tests

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
AR      ?= ar
NM      ?= nm
OBJCOPY ?= objcopy

VERSION := $(shell sed -n 's/^\#define GRAFT_VERSION "\(.*\)"/\1/p' include/graft/graft.h)
SOVERSION := 0

WARN    = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
ALLFLAGS = -std=c11 $(WARN) -fvisibility=hidden -fPIC -D_GNU_SOURCE -Iinclude -MMD -MP
# Kernels: vectorised, and no flag that could change a bit.
KERNELFLAGS = -O3 -fno-math-errno -fno-trapping-math
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LIBS    = -lcjson -lz -lpthread -ldl -lm

LIB_SRC  := $(wildcard src/ir/*.c src/io/*.c src/passes/*.c src/probe/*.c src/kernels/cpu/*.c src/exec/*.c)
CLI_SRC  := $(wildcard src/cli/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c)

LIB_OBJ    := $(LIB_SRC:%.c=build/obj/%.o)
CLI_OBJ    := $(CLI_SRC:%.c=build/obj/%.o)
CHECK_OBJ  := $(LIB_SRC:%.c=build/check/%.o)
CHECK_CLI  := $(CLI_SRC:%.c=build/check/%.o)
UNIT_OBJ   := $(UNIT_SRC:%.c=build/check/%.o)

# One line per file; `make V=1` shows the commands.
$(V).SILENT:
say = @printf '  %-7s %s\n' '$(1)' '$@'

all: build/graft build/libgraft.so build/libgraft.a

build/graft: $(CLI_OBJ) $(LIB_OBJ)
	$(call say,LINK)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

build/libgraft.so: $(LIB_OBJ)
	$(call say,LINK)
	$(CC) $(LDFLAGS) -shared -Wl,-soname,libgraft.so.$(SOVERSION) -o $@ $^ $(LIBS)

# One object whose internal names are local, so that an archive shows no more than the shared library does.
build/libgraft.a: $(LIB_OBJ)
	$(call say,AR)
	$(LD) -r -o build/obj/libgraft.o $^
	$(OBJCOPY) -w --keep-global-symbol='graft_*' build/obj/libgraft.o
	rm -f $@
	$(AR) rcs $@ build/obj/libgraft.o

build/obj/src/kernels/%.o: src/kernels/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(CC) $(ALLFLAGS) $(CFLAGS) $(KERNELFLAGS) -c -o $@ $<

build/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(CC) $(ALLFLAGS) $(CFLAGS) -c -o $@ $<

build/check/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(CC) $(ALLFLAGS) $(SANITIZE) -c -o $@ $<

build/check/graft: $(CHECK_CLI) $(CHECK_OBJ)
	$(call say,LINK)
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS)

build/check/unit: $(UNIT_OBJ) $(CHECK_OBJ)
	$(call say,LINK)
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS)

-include tests/plugins/Makefile.inc tests/hipsim/Makefile.inc src/exec/hip/Makefile.inc src/kernels/hip/Makefile.inc tests/hipexec/Makefile.inc tests/gpu/Makefile.inc

check: all build/check/graft build/check/unit $(TEST_PACKS) $(HIPEXEC_TESTS) $(HIP_TESTS) $(GPU_CHECKS) build/hipsim/w32/selftest build/hipsim/w64/selftest
	tests/check.sh

bless: build/check/graft $(TEST_PACKS)
	tests/golden.sh --bless

build/bench/bench: tests/bench/bench.c build/libgraft.a
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) $(CFLAGS) -Wno-pedantic -o $@ $< build/libgraft.a $(LIBS)

bench: all build/bench/bench
	tests/bench.sh

# Needs clang with its fuzzing runtime (Debian: clang libclang-rt-14-dev).
FUZZ = -std=c11 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE -Iinclude
fuzz: $(LIB_SRC) tests/fuzz/fuzz_graph.c
	@mkdir -p build/fuzz/corpus
	clang $(FUZZ) -fsanitize=fuzzer -o build/fuzz/graph $^ $(LIBS)

# Pages generated from the tables; `make check` fails when they are stale.
docs: build/graft
	build/graft ops --markdown > docs/ops.md
	build/graft passes --markdown > docs/passes.md
	build/graft help --markdown > docs/cli.md
	build/graft help --man > docs/graft.1

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/graft
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/doc/graft
	install build/graft $(DESTDIR)$(PREFIX)/bin/graft
	install build/libgraft.so $(DESTDIR)$(PREFIX)/lib/libgraft.so.$(VERSION)
	ln -sf libgraft.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libgraft.so.$(SOVERSION)
	ln -sf libgraft.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libgraft.so
	install -m 644 build/libgraft.a $(DESTDIR)$(PREFIX)/lib/libgraft.a
	for f in $(filter-out %_sim.so,$(wildcard build/libgraft_hip.so build/packs/graft_hip_*.so)); do \
		install -D $$f $(DESTDIR)$(PREFIX)/lib/graft/$${f#build/} || exit; \
	done
	install -m 644 include/graft/*.h $(DESTDIR)$(PREFIX)/include/graft/
	install -m 644 docs/graft.1 $(DESTDIR)$(PREFIX)/share/man/man1/graft.1
	install -m 644 docs/*.md docs/graft.schema.json examples/vllm.rules $(DESTDIR)$(PREFIX)/share/doc/graft/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' docs/graft.pc.in \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/graft.pc

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/graft $(DESTDIR)$(PREFIX)/lib/libgraft.* $(DESTDIR)$(PREFIX)/lib/graft $(DESTDIR)$(PREFIX)/lib/pkgconfig/graft.pc \
		$(DESTDIR)$(PREFIX)/include/graft $(DESTDIR)$(PREFIX)/share/man/man1/graft.1 $(DESTDIR)$(PREFIX)/share/doc/graft

clean:
	rm -rf build

.PHONY: all check bless bench fuzz docs install uninstall clean
.DELETE_ON_ERROR:

-include $(shell find build -name '*.d' 2>/dev/null)
