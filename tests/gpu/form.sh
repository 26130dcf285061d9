#!/bin/sh
# form.sh - what `make bench-hip` prints and writes, at tiny sizes on the simulator. Its times mean nothing and are not looked at.
cd "$(dirname "$0")/../.." || exit 2
bench="build/check/gpu/bench smoke device=hip:build/check/hipexec/libgraft_hip.so"
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

# lines WANTED PATTERN FILE: so many lines match
lines() {
	n=$(grep -cE -- "$2" "$tmp/$3")
	if [ "$n" -eq "$1" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $n lines of $3, not $1, match '$2'"
		cat "$tmp/$3"
	fi
}
ends() {
	if [ "$1" -eq "$2" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL exit $2, wanted $1"; cat "$tmp/err"; fi
}

printf '1 1e9 1e9 1e9 2e9 1\n3 1e-9 1e-9 1e-9 1e-9 1e-9\n5 1 1 1 1 1\n' > "$tmp/peers"
$bench block=tests/data/mla_small.graft peers="$tmp/peers" json="$tmp/json" > "$tmp/out" 2> "$tmp/err"
ends 0 $?
lines 1 '^hipsim on the CPU.* compute units, .* GB, core up to .* MHz, memory .* MHz and .* bits, driver .*, runtime ' out
lines 2 '^ +[13]( +[0-9.]+){9}$' out
lines 1 '^ +3 +[0-9.]+ +[0-9.]+ +[0-9.]+  [0-9]+ and 0, [0-9]+ and 0$' out
lines 4 '^met .* T=1: ' out
lines 0 '^missed .* T=1: ' out
lines 3 '^missed .* T=3: fused to (the best Triton|eager|torch.compile)' out
lines 1 '^met .* T=3: launches where there were two, and copies +1.000, at most 1.000$' out
lines 1 'T=3: the block to the sum of its kernels' out
set -- $(sed -n 's/^ *3 .*  \([0-9]*\) and 0, \([0-9]*\) and 0$/\1 \2/p' "$tmp/out")
ends "$1" $(($2 + 1))
# graft's own strict reader takes the text whole before it looks at the keys.
build/check/graft config --config "$tmp/json" > "$tmp/out" 2> "$tmp/err"
ends 3 $?
lines 1 "no such key: 'unit'" err
lines 2 '"launches": \[2, 1\], "copies": \[0, 0\]' json
lines 9 '"verdict": "(met|missed)"' json

$bench > "$tmp/out" 2> "$tmp/err"
ends 0 $?
lines 6 '^not measured' out
env HIPSIM_FAIL=hipGetDeviceCount:1+ $bench > "$tmp/out" 2> "$tmp/err"
ends 0 $?
lines 1 '^bench-hip: not run: ' out
$bench json=/nowhere/at/all > "$tmp/out" 2> "$tmp/err"
ends 1 $?
lines 1 'bench-hip: /nowhere/at/all: cannot be written' err
$bench peers="$tmp/nothing" > "$tmp/out" 2> "$tmp/err"
ends 1 $?
$bench faster > "$tmp/out" 2> "$tmp/err"
ends 1 $?
lines 1 'usage: ' err

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
