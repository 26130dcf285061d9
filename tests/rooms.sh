#!/bin/sh
# rooms.sh - the source keeps to its rooms: who may include what, what leaves the library, that generated pages are fresh.
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $1"; [ -n "$2" ] && echo "$2"; }
# empty WHAT TEXT: passes when TEXT is empty
empty() { if [ -z "$2" ]; then ok; else bad "$1" "$2"; fi; }

empty "cJSON is included only in src/io" "$(grep -ln 'cJSON\.h' -r src include | grep -v '^src/io/')"
empty "dlfcn.h is included only in src/probe and src/exec" "$(grep -ln 'dlfcn\.h' -r src include | grep -vE '^src/(probe|exec)/')"
empty "HIP is included only in src/exec/hip and src/kernels/hip" \
	"$(grep -ln 'hip_runtime' -r src include | grep -vE '^src/(exec|kernels)/hip/')"
empty "tests/hip names the simulator only in machine.cpp: they run on GPUs too" \
	"$(grep -n 'hipsim_\|hipsim\.h' tests/hip/*.cpp tests/hip/*.h | grep -v '^tests/hip/machine\.cpp')"
empty "the library never exits, aborts or asks the environment" \
	"$(grep -nE '\b(exit|abort|_exit|getenv|secure_getenv|setenv)\(' -r src include | grep -v '^src/cli/' | grep -v '^src/probe/isolated\.c')"

# Which rooms each room may include: ir <- io, passes, kernels, probe <- exec <- cli
rooms() {
	case $1 in
	ir) echo ir ;;
	io | kernels) echo "ir $1" ;;
	probe) echo "ir io kernels probe" ;;
	passes) echo "ir io probe passes" ;;
	exec) echo "ir io kernels probe passes exec" ;;
	cli) echo "ir io kernels probe passes exec cli" ;;
	esac
}
for from in ir io kernels probe passes exec cli; do
	allowed=$(rooms $from | sed 's/ /|/g')
	empty "src/$from includes only $(rooms $from)" \
		"$(grep -nE '#include "(\.\./)+' -r src/$from | sed -E 's|^([^"]*)"(\.\./)+|\1"|' | grep -vE "\"($allowed)/" | grep -E '"[a-z]+/')"
done

declared=$(cat include/graft/*.h | sed -nE 's/^GRAFT_API .*[ *](graft_[a-z0-9_]+)\(.*/\1/p' | sort)
exported=$(nm -D --defined-only build/libgraft.so | awk '$2 ~ /[TDBRVW]/ { print $3 }' | sort)
echo "$declared" > build/declared; echo "$exported" > build/exported
empty "the shared library shows what the headers declare, and nothing else" "$(diff build/declared build/exported)"

# fresh PAGE COMMAND...: the page is what the command prints
fresh() {
	page=$1
	shift
	if build/graft "$@" | cmp -s - "docs/$page"; then ok; else bad "docs/$page is stale: run make docs"; fi
}
fresh ops.md ops --markdown
fresh passes.md passes --markdown
fresh cli.md help --markdown
fresh graft.1 help --man

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
