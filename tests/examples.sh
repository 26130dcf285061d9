#!/bin/sh
# examples.sh - the shipped programs compile against an installed graft, shared and static, and do what they say.
cd "$(dirname "$0")/.." || exit 2
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $1"; [ -n "${2:-}" ] && echo "$2"; }
# same WHAT WANTED FOUND
same() { if [ "$2" = "$3" ]; then ok; else bad "$1" "wanted: $2
found:  $3"; fi; }

root=$PWD/build/check/install
rm -rf "$root"
make -s install PREFIX=/usr DESTDIR="$root" > build/check/install.log 2>&1 || bad "make install" "$(cat build/check/install.log)"
flags="-std=c11 -Wall -Wextra -I$root/usr/include"
for f in usr/bin/graft usr/lib/libgraft.so usr/lib/libgraft.a usr/include/graft/graft.h usr/include/graft/plugin.h \
	usr/lib/pkgconfig/graft.pc usr/share/man/man1/graft.1 usr/share/doc/graft/vllm.rules; do
	if [ -e "$root/$f" ]; then ok; else bad "make install puts $f there"; fi
done
for program in embed custom_rule; do
	for how in shared static; do
		case $how in
		shared) libs="-L$root/usr/lib -Wl,-rpath,$root/usr/lib -lgraft" ;;
		static) libs="$root/usr/lib/libgraft.a $(sed -n 's/^Libs.private: //p' "$root/usr/lib/pkgconfig/graft.pc")" ;;
		esac
		out=build/check/$program.$how
		# shellcheck disable=SC2086
		if ${CC:-cc} $flags examples/$program.c $libs -o $out 2> build/check/install.log; then ok; else
			bad "examples/$program.c compiles ($how)" "$(cat build/check/install.log)"
			continue
		fi
		case $program in
		embed) same "embed ($how)" "pairs of norms fused: 1" "$($out tests/data/mla_small.graft | head -n 1)" ;;
		custom_rule) same "custom_rule ($how)" "y: f32[T, 8] = silu(x) @ [s, y]" "$($out | sed -n 4p)" ;;
		esac
	done
done
left=$(make -s uninstall PREFIX=/usr DESTDIR="$root" && find "$root" -type f)
same "make uninstall leaves nothing" "" "$left"
rm -rf "$root"

# What README shows is what happens.
show=build/check/readme
mkdir -p $show
ln -sfn "$PWD/examples" $show/examples
grep -E '^    (\$ graft|[-+#] )' README.md | cut -c5- > $show/wanted
sed -n 's/^\$ graft //p' $show/wanted | while read -r words; do
	echo "\$ graft $words"
	# shellcheck disable=SC2086
	(cd $show && ../../graft $words)
done > $show/found 2>&1
same "what README shows" "$(cat $show/wanted)" "$(cat $show/found)"

# The verbs and options that the pages name are the tool's.
unknown=$(grep -hoE '(^|[ `])graft (opt|run|verify|dump|diff|ops|passes|config|probe|help)\b[^`#|]*' README.md docs/[!c]*.md docs/config.md \
	examples/*/README.md | while read -r _ verb words; do
	for word in $words; do
		case $word in
		--help | [!-]* | -O[0-3]) continue ;;
		esac
		word=$(echo "$word" | grep -oE -- '^--?[a-z-]+')
		build/graft help "$verb" | grep -qE -- "^  $word( |\[|=|$)" || echo "graft $verb $word"
	done
done)
same "options named in README and docs" "" "$unknown"

# script COMMAND...: a test of examples/pytorch, whose last line is "N passed, N failed", with the sanitized simulator.
asan=$(${CC:-cc} -print-file-name=libasan.so) cxx=$(${CC:-cc} -print-file-name=libstdc++.so)
script() {
	tests/limit.sh 300 env LD_PRELOAD="$asan $cxx" ASAN_OPTIONS=detect_leaks=0 "$@" --odd build/packs/test \
		--pack build/check/hipexec/packs/graft_hip_sim.so --runtime build/hipsim/w32/libhipsim.so > build/check/python.log 2>&1
	sum=$(tail -n 1 build/check/python.log | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
	[ -n "$sum" ] || sum="0 1"
	passed=$((passed + ${sum% *})) failed=$((failed + ${sum#* }))
	[ "${sum#* }" -eq 0 ] || cat build/check/python.log
}
if ! python3 -c 'import ctypes' 2> build/check/python.log; then
	echo "not run: examples/pytorch (no python3)"
else
	layout=$({ python3 -B examples/pytorch/graft_pack.py; echo "graft_pack_py_is_right end;"; } 2>&1 |
		${CC:-cc} -std=c11 -Iinclude -fsyntax-only -x c - 2>&1)
	same "graft_pack.py has the headers' structs" "" "$layout"
	if [ ! -e "$asan" ] || [ ! -e build/check/hipexec/packs/graft_hip_sim.so ]; then
		echo "not run: test_graft_pack.py, test_graft_torch.py (no simulator, or no libasan.so to load first)"
	else
		script python3 -B examples/pytorch/test_graft_pack.py
		if python3 -c 'import torch' 2> build/check/python.log; then
			script python3 -B examples/pytorch/test_graft_torch.py --lib build/libgraft.so
		else
			echo "not run: test_graft_torch.py (python3 has no torch)"
		fi
	fi
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
