#!/bin/sh
# tool.sh - the tool on a GPU that hipsim plays: graft run and graft probe, their words and exit codes.
cd "$(dirname "$0")/../.." || exit 2
graft=build/check/graft
hip=hip:build/check/hipexec/libgraft_hip.so
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
cp tests/data/mla_small.graft "$tmp/g.graft"

# case NAME EXIT-CODE COMMAND...: runs it, output in $tmp/out, notes in $tmp/err
case_() {
	name=$1 want=$2
	shift 2
	tests/limit.sh 120 "$@" > "$tmp/out" 2> "$tmp/err"
	code=$?
	if [ "$code" -eq "$want" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $name: exit $code, wanted $want"
		cat "$tmp/err"
	fi
}
# has FILE TEXT: the last case wrote it
has() {
	if grep -qF -- "$2" "$tmp/$1"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $name: no '$2' in $1:"
		cat "$tmp/$1"
	fi
}
hasnt() {
	if grep -qF -- "$2" "$tmp/$1"; then
		failed=$((failed + 1))
		echo "FAIL $name: '$2' in $1"
	else
		passed=$((passed + 1))
	fi
}

case_ cpu 0 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device cpu -o "$tmp/cpu.npy"
for warp in 32 64; do
	LD_LIBRARY_PATH=build/hipsim/w$warp
	export LD_LIBRARY_PATH
	case_ "hip, warp $warp" 0 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device $hip --repeat 3 -o "$tmp/hip.npy"
	has err "matrix products run on the pack's own kernel"
	hasnt err "runs on the CPU"
	case_ "probe, warp $warp" 0 $graft probe --device $hip
	has out "architecture sim$warp"
	has out "device hipsim on the CPU, warp size $warp: sim, warp size $warp"
	has out "products: the pack's own kernel"
	has out "kernel fused_mla_dual_rms_norm: available"
done
unset LD_LIBRARY_PATH

case_ "a table of nodes" 0 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device $hip --profile --trace "$tmp/trace"
has out "on hipsim on the CPU, warp size 32 (sim32)"
has out "rms_norm"
has out "graft_hip_sim.so"
has out "sum "
has out "total "
has trace '"traceEvents": ['
has trace '"name": "q_n", "cat": "rms_norm", "ph": "X"'
# graft's own strict reader takes the text whole before it looks at the keys.
case_ "the trace is JSON" 3 $graft config --config "$tmp/trace"
has err "no such key: 'displayTimeUnit'"
case_ "a table of nodes on the CPU" 0 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device cpu --profile
has out "on cpu"
has out "builtin"

case_ "auto finds no plugin" 0 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device auto
has err "note: runs on the CPU: there is no device plugin: libgraft_hip.so lies neither in "
[ "$(grep -c 'runs on the CPU' "$tmp/err")" = 1 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "FAIL not one note"; }
case_ "hip finds no plugin" 4 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device hip
has err "error: there is no device plugin"
case_ "a plugin that is not there" 4 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device hip:nothere.so
has err "'nothere.so' does not load"
case_ "no such device" 2 $graft run "$tmp/g.graft" --random 1 --bind T=3 --device tpu
has err "there is no device 'tpu'"
case_ "verify, on the CPU when nothing is said" 0 $graft verify "$tmp/g.graft" --random 1 --bind T=3
case_ "fused is the same as not fused" 0 $graft verify "$tmp/g.graft" --random 1 --bind T=3 --device $hip
has out "same: largest difference 0 (relative 0)"
case_ "the GPU is near the CPU" 0 $graft verify "$tmp/g.graft" -O0 --random 1 --bind T=3 --device $hip --reference cpu
has out "same: largest difference"
for g in "torch_autocast s75=4" "torch_sizes s77=5" "torch_sub s0=5"; do
	set -- $g
	case_ "$1: the GPU is near the CPU" 0 $graft verify "tests/data/$1.json" --random 1 --bind "$2" --device $hip --reference cpu
done
sed 's/eps=1e-0*6/eps=0.5/' "$tmp/g.graft" > "$tmp/other.graft"
case_ "the first value that differs is found on the GPU" 1 $graft verify "$tmp/g.graft" "$tmp/other.graft" --random 1 --bind T=3 --device $hip
has err "the first value that differs is q_n"
case_ "and between GPU and CPU" 1 $graft verify "$tmp/g.graft" "$tmp/other.graft" --random 1 --bind T=3 --device $hip --reference cpu
has err "the first value that differs is q_n"
case_ "verify wants a device that is named" 2 $graft verify "$tmp/g.graft" --random 1 --bind T=3 --device auto
has err "say cpu or hip"

# A plugin whose runtime is not installed: the loader's words. One whose runtime is: HIP's.
case_ "HIP has no device" 4 env HIPSIM_FAIL=hipGetDeviceCount:1 $graft probe --device $hip
has err "hipGetDeviceCount gave "
if [ -e build/hipdev/amd/libgraft_hip.so ] && [ ! -e /dev/kfd ]; then
	case_ "the AMD runtime has no device" 4 $graft probe --device hip:build/hipdev/amd/libgraft_hip.so
	has err "hipGetDeviceCount gave hipErrorNoDevice"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
