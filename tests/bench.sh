#!/bin/sh
# bench.sh - what `make bench` runs; prints ratios measured in this run. Needs python3 to compare with.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/bench
sed 's/bf16/f32/g' examples/mla_block.graft > build/bench/block_f32.graft
echo "machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
build/bench/bench build/graft tests/gen_layers.sh build/bench
