#!/bin/sh
# demo.sh - the main job on one block of DeepSeek-V3: load, fuse under guard, write, run both, compare.
set -eu
cd "$(dirname "$0")/.."
graft=build/graft
graph=examples/mla_block.json
out=build/demo
mkdir -p $out

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "1. The graph as it is: $graph"
$graft dump $graph

say "2. Can the fused kernel be called here?"
$graft probe

say "3. Optimise; one rewrite of fuse_mla_dual_rms_norm is expected, any other number is an error"
$graft opt $graph --expect fuse_mla_dual_rms_norm=1 --explain --stats -o $out/mla_block.opt.json

say "4. The graph afterwards, and what is different"
$graft dump $out/mla_block.opt.json
echo
$graft diff $graph $out/mla_block.opt.json || [ $? -eq 1 ]

say "5. Run both on this CPU with the same generated weights, and compare (16 tokens)"
verdict=$($graft verify $graph $out/mla_block.opt.json --random 1 --bind T=16)
before=$($graft dump $graph | grep -c ' = ')
after=$($graft dump $out/mla_block.opt.json | grep -c ' = ')
say "graft: one pair of latent RMS norms fused, $before nodes became $after; before and after are $verdict"
