#!/bin/sh
# blas.sh - the tests that multiply matrices, once with each family of OpenBLAS's kernels. OpenBLAS picks one for the processor it runs
# on, they add up in different orders, and nothing that a test expects may depend on that.
cd "$(dirname "$0")/.." || exit 2
products='matmul|linear|attention'
passed=0 failed=0

has() { [ ! -e /proc/cpuinfo ] || grep -qw "$1" /proc/cpuinfo; }

# run NAME COMMAND...: it ends with "N passed, N failed", or counts as one failure.
run() {
	name=$1
	shift
	out=$("$@" 2>&1)
	code=$?
	sum=$(printf '%s\n' "$out" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' | tail -n 1)
	p=${sum% *} f=${sum#* }
	[ -n "$sum" ] && { [ "$code" = 0 ] || [ "$f" != 0 ]; } || { p=${p:-0} f=1; }
	[ "$f" = 0 ] || printf '%s: FAIL\n%s\n' "$name" "$out"
	passed=$((passed + p)) failed=$((failed + f))
}

# with TYPE FLAG: under OpenBLAS's kernels of that type, which the processor runs if it has the flag.
with() {
	has "$2" || { echo "not run: OpenBLAS's $1 kernels (this processor has no $2)"; return; }
	export OPENBLAS_CORETYPE="$1"
	for t in $(grep -lE "$products" tests/unit/*.c); do
		run "$1: $t" build/check/unit "$t"
	done
	# shellcheck disable=SC2046
	run "$1: golden" tests/golden.sh $(grep -lE "$products" tests/golden/*.test)
}

with PRESCOTT pni
with HASWELL avx2
with SKYLAKEX avx512f
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
