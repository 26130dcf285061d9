#!/bin/sh
# check.sh PLATFORM [sanitize] - what `make check-hip` runs on a GPU: the kernels' tests at full size, then graphs through the tool. With
# `sanitize` the kernels' tests, at smaller sizes, under each of compute-sanitizer's tools.
cd "$(dirname "$0")/../.." || exit 2
platform=$1 mode=$2
graft=build/graft hip=hip:build/libgraft_hip.so test=build/gpu/$platform/test
exports=../shared/exports
size=full
[ "$platform" = sim ] && size=quick
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

sum() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}
not_run() {
	echo "check-hip: not run: $1"
	sum
}

# program NAME COMMAND...: tests that count themselves in their last line
program() {
	name=$1
	shift
	"$@" > "$tmp/log" 2>&1
	code=$?
	counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$tmp/log" | tail -n 1 | sed 's/ passed, / /; s/ failed//')
	p=${counts% *} f=${counts#* }
	[ -z "$counts" ] && p=0 f=1
	[ "$code" -ne 0 ] && [ "$f" -eq 0 ] && f=1
	[ "$f" -ne 0 ] && { echo "--- $name"; tail -n 60 "$tmp/log"; }
	grep 'not run' "$tmp/log"
	echo "$name: $p passed, $f failed"
	passed=$((passed + p)) failed=$((failed + f))
}

# says WHAT TEXT COMMAND...: succeeds, and its output has TEXT
says() {
	what=$1 text=$2
	shift 2
	if "$@" > "$tmp/log" 2>&1 && grep -qF -- "$text" "$tmp/log"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $what: no '$text'"
		tail -n 5 "$tmp/log"
	fi
}

# launches GRAPH OPTIONS...: nodes that ran, those that only copied an operand, norms that ran alone, fused ones
launches() {
	$graft run "$@" --random 1 --device $hip --profile 2> "$tmp/err" | awk '
		$1 == "node" { table = 1; next }
		$1 == "sum" { table = 0 }
		table { n++; copies += $2 == "clone"; alone += $2 == "rms_norm"; fused += $2 == "fused_mla_dual_rms_norm" }
		END { print n + 0, copies + 0, alone + 0, fused + 0 }'
}

# graph NAME FILE TOKENS: the GPU is near the CPU, fused is the same as not fused, with a launch less and no copy more
graph() {
	name=$1 file=$2 tokens=$3
	says "$name, T=$tokens: GPU and CPU" "same: largest difference" \
		$graft verify "$file" -O0 --random 1 --bind T="$tokens" --device $hip --reference cpu
	says "$name, T=$tokens: fused and not" "same: largest difference 0 (relative 0)" \
		$graft verify "$file" --random 1 --bind T="$tokens" --device $hip
	$graft opt "$file" --expect fuse_mla_dual_rms_norm=1 -o "$tmp/fused.json"
	before=$(launches "$file" --bind T="$tokens")
	after=$(launches "$tmp/fused.json" --bind T="$tokens")
	set -- $before $after
	echo "$name, T=$tokens: launches $1, copies $2, of norms $3; fused: launches $5, copies $6, of norms $7 and $8"
	if [ $# -eq 8 ] && [ "$3" -eq 2 ] && [ "$7" -eq 0 ] && [ "$8" -eq 1 ] && [ "$5" -eq $(($1 - 1)) ] && [ "$6" -eq "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $name: one launch where there were two"
	fi
}

$graft probe --device $hip > "$tmp/probe" 2>&1 || not_run "$(sed -n 's/^graft: *//; s/^error: //; $p' "$tmp/probe")"
grep -E '^(device|products)' "$tmp/probe"

if [ "$mode" = sanitize ]; then
	tool=${CUDA_PATH:-/usr/local/cuda}/bin/compute-sanitizer
	[ -x "$tool" ] || tool=$(command -v compute-sanitizer)
	[ "$platform" = nvidia ] || not_run "compute-sanitizer is for NVIDIA's GPUs"
	[ -n "$tool" ] || not_run "compute-sanitizer is not installed"
	for check in memcheck racecheck; do
		program $check "$tool" --tool $check --error-exitcode 9 "$test" quick
	done
	program initcheck "$tool" --tool initcheck --check-api-memory-access no --error-exitcode 9 "$test" quick bare
	sum
fi

program kernels "$test" $size
for tokens in 1 3 64; do graph mla_small tests/data/mla_small.graft $tokens; done
if [ "$platform" != sim ]; then
	for tokens in 1 16 128; do graph mla_block examples/mla_block.json $tokens; done
fi
for file in "$exports"/*.pt2; do
	[ -e "$file" ] || { echo "exports: not run (no $exports here)"; break; }
	name=$(basename "$file" .pt2)
	sample="$exports/${name}_sample.safetensors"
	$graft opt "$file" --expect fuse_mla_dual_rms_norm=2 -o "$tmp/opt.pt2"
	says "$name: GPU and CPU" "same: largest difference" $graft verify "$file" -O0 --inputs "$sample" --device $hip --reference cpu
	says "$name: fused and spelled out" "same: largest difference" $graft verify "$file" "$tmp/opt.pt2" --inputs "$sample" --device $hip
	says "$name: PyTorch's logits" "same as" $graft run "$tmp/opt.pt2" --inputs "$sample" --compare "$sample" --device $hip
done
sum
