#!/bin/sh
# exports_torch.sh - the real exports beside this repository: the same bytes where nothing is rewritten, the pairs that are expected, numbers that agree.
set -u
cd "$(dirname "$0")/.." || exit 2
graft=build/graft exports=../shared/exports hip=hip:build/check/hipexec/libgraft_hip.so
passed=0 failed=0
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT

# try WHAT COMMAND...: passes when the command does
try() {
	what=$1
	shift
	if "$@" > "$tmp/log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $what"
		head -5 "$tmp/log"
	fi
}

model() { unzip -p "$1" '*/models/model.json'; }
same_model() { model "$1" > "$tmp/a" && model "$2" > "$tmp/b" && cmp "$tmp/a" "$tmp/b"; }
same_entries() {
	unzip -v "$1" | awk 'NF == 8 && $NF ~ "/" { print $(NF - 1), $1, $NF }' | sort > "$tmp/a"
	unzip -v "$2" | awk 'NF == 8 && $NF ~ "/" { print $(NF - 1), $1, $NF }' | sort > "$tmp/b"
	[ -s "$tmp/a" ] && cmp "$tmp/a" "$tmp/b"
}
nothing_unsupported() { [ -z "$($graft ops "$1" --unsupported)" ]; }

for file in "$exports"/*.pt2; do
	name=$(basename "$file" .pt2) sample="$exports/$(basename "$file" .pt2)_sample.safetensors"
	try "$name: written" $graft opt "$file" -O0 -o "$tmp/same.pt2"
	if command -v unzip > /dev/null; then
		try "$name: no rewrite, the same model.json" same_model "$file" "$tmp/same.pt2"
		try "$name: no rewrite, the same entries" same_entries "$file" "$tmp/same.pt2"
		model "$file" > "$tmp/model.json"
		try "$name: model.json alone" sh -c "$graft opt '$tmp/model.json' -O0 --to pt2json | cmp - '$tmp/model.json'"
	fi
	try "$name: two pairs" $graft opt "$file" --expect fuse_mla_dual_rms_norm=2 -o "$tmp/opt.pt2"
	try "$name: all of it can run" nothing_unsupported "$file"
	try "$name: PyTorch's logits" $graft run "$file" --device cpu --inputs "$sample" --compare "$sample"
	try "$name: PyTorch's logits, fused" $graft run "$tmp/opt.pt2" --device cpu --inputs "$sample" --compare "$sample"
	for warp in 32 64; do
		try "$name: PyTorch's logits, fused, on the simulator's GPU with warps of $warp" env LD_LIBRARY_PATH=build/hipsim/w$warp \
			build/check/graft run "$tmp/opt.pt2" --device $hip --inputs "$sample" --compare "$sample"
	done
	try "$name: fused and not, the same numbers" $graft verify "$file" "$tmp/opt.pt2" --inputs "$sample"
done

if command -v xz > /dev/null; then
	xz -dc "$exports/dsv3_full61.json.xz" > "$tmp/full61.json"
	try "full61: no rewrite, the same bytes" sh -c "$graft opt '$tmp/full61.json' -O0 --to pt2json | cmp - '$tmp/full61.json'"
	try "full61: 61 pairs" $graft opt "$tmp/full61.json" --expect fuse_mla_dual_rms_norm=61 --to pt2json -o "$tmp/fused61.json"
	try "full61: 61 fused nodes in what was written" [ "$(grep -o 'torch.ops.graft.fused_mla_dual_rms_norm' "$tmp/fused61.json" | wc -l)" -eq 61 ]
	try "full61: each rounds early" [ "$(grep -o '"as_string": "early"' "$tmp/fused61.json" | wc -l)" -eq 61 ]
	try "full61: what was written can be read" $graft ops "$tmp/fused61.json"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
