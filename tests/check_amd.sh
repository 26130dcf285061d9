#!/bin/sh
# check_amd.sh - the GPU kernels compiled for every AMD target, and what they became.
#
# Debian's hipcc (HIP 5.2.3) compiles for the targets that it knows, clang 19 for all. Per target, of the norm kernels: those with rows at
# multiples of 16 bytes load and store 16 bytes at a time and nothing else; none uses scratch memory or spills vector registers. A kernel's
# registers and the waves that fit on a SIMD are printed. No kernel of the pack keeps anything in scratch memory. Without the compilers the
# check is skipped, with a line that says so.
cd "$(dirname "$0")/.." || exit 2
old="gfx90a gfx940 gfx1030"
new="gfx942 gfx1100"
out=build/hip/check
bitcode=/usr/lib/x86_64-linux-gnu/amdgcn/bitcode
flags="-x hip -std=c++17 -O3 -ffp-contract=off -Iinclude -Wall -Wextra -Wconversion -Wshadow -Werror -Wno-unused-command-line-argument"
passed=0 failed=0

for tool in hipcc clang++-19 clang-offload-bundler-19 llvm-objcopy-19 llvm-objdump-19 llvm-readelf-19 llvm-dis-15; do
	if ! command -v $tool > /dev/null; then
		echo "check-amd: not run, $tool is not installed (apt-get install hipcc libamdhip64-dev rocm-device-libs" \
			"clang-19 lld-19 clang-tools-19 llvm-19 llvm-15)"
		echo "0 passed, 0 failed"
		exit 0
	fi
done

verdict() {
	if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "failed: $2"; fi
}

# compile NAME COMMAND...: no diagnostic is allowed.
compile() {
	what=$1
	shift
	"$@" > "$out/log" 2>&1
	code=$?
	# Without a GPU, Debian's hipcc writes the traceback of its agent enumerator.
	if [ $code -ne 0 ] || grep -qE 'warning:|error:' "$out/log"; then cat "$out/log"; code=1; fi
	verdict $code "$what"
}

# What llvm-readelf tells of each kernel, one line a kernel: name scratch sgpr_spills vgprs vgpr_spills
notes() {
	llvm-readelf-19 --notes "$1" | awk '
		/\.name: *_Z/ { name = $2 }
		/\.private_segment_fixed_size:/ { scratch = $2 }
		/\.sgpr_spill_count:/ { sgpr = $2 }
		/\.vgpr_count:/ { vgprs = $2 }
		/\.vgpr_spill_count:/ { print name, scratch, sgpr, vgprs, $2 }'
}

# Memory instructions of each kernel: name instruction count
memory() {
	llvm-objdump-19 -d --no-show-raw-insn "$1" | awk '
		/^[0-9a-f]+ </ { name = substr($2, 2, length($2) - 3) }
		$1 ~ /^(global|flat|buffer|scratch)_(load|store|atomic)/ { n[name " " $1]++ }
		END { for (k in n) print k, n[k] }' | sort
}

# Waves on a SIMD by registers alone: 512 registers in steps of 8 on gfx9, 1536 in steps of 24 of 32 lanes on gfx11, 1024 in 16 on gfx10.
occupancy() {
	case $1 in
	gfx9*) echo 512 8 8 ;;
	gfx11*) echo 1536 24 16 ;;
	*) echo 1024 16 16 ;;
	esac
}

look_at_norms() {
	target=$1 object=$2
	set -- $(occupancy "$target")
	notes "$object" > "$out/notes"
	memory "$object" > "$out/memory"
	awk -v target="$target" -v all="$1" -v step="$2" -v most="$3" '
		FILENAME ~ /notes$/ {
			waves = int(all / (int(($4 + step - 1) / step) * step))
			printf "%s %s: %d registers, %d waves a SIMD\n", target, $1, $4, (waves > most ? most : waves)
			if ($2 || $5) { print target " " $1 ": " $2 " bytes of scratch memory, " $5 " spilled registers"; bad = 1 }
			if ($3 && $1 !~ /norm_long/) { print target " " $1 ": " $3 " spilled scalars"; bad = 1 }
			kernels++
			next
		}
		$1 ~ /Lb1E/ {
			wide[$1] += $2 ~ /_(load|store)_(dwordx4|b128)$/
			if ($2 !~ /_(load|store)_(dwordx4|b128)$/) { print target " " $1 ": " $3 " " $2; bad = 1 }
		}
		END {
			for (k in wide) { n++; if (wide[k] != 2) { print target " " k ": no 16-byte loads and stores"; bad = 1 } }
			if (kernels != 27 || n != 21) { print target ": " kernels + 0 " norm kernels, " n + 0 " of them packed"; bad = 1 }
			exit bad
		}' "$out/notes" "$out/memory"
	verdict $? "norm kernels for $target"
	# A product and a conversion that are one fma with +0 make 0 of -0.
	! llvm-objdump-19 -d --no-show-raw-insn "$object" | grep -qE 'v_(fma|mad)_mix(lo|hi)?_f(16|32).*, 0( |$)'
	verdict $? "signs of zeros for $target"
}

# Sums in scratch memory would cost a load and a store each time: an array whose loops were not unrolled.
look_at_pack() {
	for o in build/hip/amd/*.o; do
		llvm-objcopy-19 --dump-section .hip_fatbin="$out/bundle" "$o" 2> "$out/log" || continue
		clang-offload-bundler-19 --unbundle --type=o --targets="hipv4-amdgcn-amd-amdhsa--$1" \
			--input="$out/bundle" --output="$out/part" && notes "$out/part"
	done | awk -v target="$1" '
		$2 { print target " " $1 ": " $2 " bytes of scratch memory"; bad = 1 }
		END { if (NR < 60) print target ": " NR " kernels in the pack"; exit bad || NR < 60 }'
	verdict $? "no scratch memory for $1"
}

mkdir -p "$out"
make -s build/devlib/.made || exit 2

# One after the other on two cores would take long: hipcc works while clang does.
hip5() {
	set --
	for t in $old; do set -- "$@" "--offload-arch=$t"; done
	for f in src/kernels/hip/*.hip; do
		hipcc $flags "$@" -fPIC -c "$f" -o "$out/$(basename "$f" .hip).5.o" 2>&1 || echo "error: $f"
	done
}
hip5 > "$out/hip5" &
job=$!
for t in $old $new; do
	compile "norm.hip for $t" clang++-19 $flags --rocm-path=/usr --rocm-device-lib-path=build/devlib --offload-arch=$t \
		--offload-device-only --no-gpu-bundle-output -c src/kernels/hip/norm.hip -o "$out/norm_$t.hsaco"
	[ -e "$out/norm_$t.hsaco" ] && look_at_norms $t "$out/norm_$t.hsaco"
done
compile "plugin and pack for $old $new" make -s -j2 build/hipdev/amd/libgraft_hip.so build/packs/graft_hip_amd.so HIP_PLATFORM=amd HIPCC=false
for t in $old $new; do look_at_pack $t; done
wait $job
if grep -qE 'warning:|error:' "$out/hip5"; then cat "$out/hip5"; fi
! grep -qE 'warning:|error:' "$out/hip5"
verdict $? "hipcc for $old"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
