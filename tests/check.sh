#!/bin/sh
# check.sh - everything `make check` runs; each part prints what failed, the last line is the sum.
cd "$(dirname "$0")/.." || exit 2
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
passed=0 failed=0
log=build/check/log
mkdir -p build/check

# part NAME COMMAND...: its output has a last line "N passed, N failed", with nothing but a sanitizer's report behind it; a part without
# one, or that fails with none failed, counts as one failure.
part() {
	name=$1
	shift
	"$@" > "$log" 2>&1
	code=$?
	sum=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
	p=${sum% *} f=${sum#* }
	if [ -z "$sum" ] || { [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; }; then
		p=${p:-0} f=1
	fi
	if [ "$f" -ne 0 ]; then
		echo "--- $name"
		cat "$log"
	fi
	echo "$name: $p passed, $f failed"
	grep '^not run: ' "$log"
	passed=$((passed + p)) failed=$((failed + f))
}

part rooms tests/rooms.sh
part unit build/check/unit
part golden tests/golden.sh --device hip:build/check/hipexec/libgraft_hip.so
part blas tests/blas.sh
part examples tests/examples.sh
part hipexec build/check/hipexec/test
part hiptool tests/hipexec/tool.sh
part hipbench tests/gpu/form.sh
for t in tests/sweep_*.sh; do
	[ -e "$t" ] && part "$(basename "$t" .sh)" "$t"
done
for s in 32 64; do
	[ -x build/hipsim/w$s/selftest ] && part "hipsim$s" build/hipsim/w$s/selftest
	[ -x build/check/hip/test ] && part "hip$s" build/check/hip/test $s
done

if [ -d ../shared/exports ] && ls tests/exports_*.sh > /dev/null 2>&1; then
	for t in tests/exports_*.sh; do part "$(basename "$t" .sh)" "$t"; done
else
	echo "exports: not run (no ../shared/exports here)"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
