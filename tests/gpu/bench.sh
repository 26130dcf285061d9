#!/bin/sh
# bench.sh PLATFORM JSON [PEERS] - what `make bench-hip` runs: PEERS, a script that measures what others offer and leaves peers.json in the
# folder $OUT, then our own, and one table of both. JSON gets the table too.
cd "$(dirname "$0")/../.." || exit 2
platform=$1 json=$2 peers=$3
folder=build/gpu/$platform
set -- device=hip:build/libgraft_hip.so json="$json"
if [ "$platform" = sim ]; then
	set -- "$@" smoke block=tests/data/mla_small.graft
else
	set -- "$@" block=examples/mla_block.json
fi

# A line for each size: T eager compiled triton4 triton8 copy
lines='import json, sys
for r in json.load(open(sys.argv[1])):
	print(r["T"], *(r[k] for k in ("eager_2x_rms_norm", "torch_compile", "triton_dual_w4", "triton_dual_w8", "copy_same_bytes")))'

[ -z "$peers" ] || [ -e "$peers" ] || { echo "bench-hip: PEERS is '$peers', which is not there; give the path of a script"; exit 2; }
if [ -z "$peers" ]; then
	echo "peers: not run (PEERS=SCRIPT names what measures them)"
elif ! python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2> "$folder/peers.log"; then
	echo "peers: not run (python3 has no torch that sees a GPU)"
elif OUT=$folder python3 "$peers" && python3 -c "$lines" "$folder/peers.json" > "$folder/peers.txt"; then
	set -- "$@" peers="$folder/peers.txt"
else
	echo "peers: not run ($peers failed)"
fi

command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit --format=csv
command -v rocm-smi > /dev/null && rocm-smi --showproductname --showdriverversion --showclocks
"$folder/bench" "$@"
