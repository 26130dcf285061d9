#!/bin/sh
# check.sh - what graft writes, held against PyTorch: the parts of tests/torch, each with its sum; the last line is the sum of all.
#
#   check.sh             what CI runs
#   check.sh PART...     only these: kinds rows opinfo programs zoo
#   check.sh --zoo       every model and dialect
#   check.sh --all       that, every operator sample and ten times the programs
#
# PyTorch is in build/torch-env, made here from requirements.txt and made anew when that changes.
cd "$(dirname "$0")/../.." || exit 2
env=build/torch-env pins=tests/torch/requirements.txt log=build/torch/log
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 CUDA_VISIBLE_DEVICES= HF_HUB_OFFLINE=1
mkdir -p build/torch
passed=0 failed=0

if ! cmp -s $pins $env/made-of; then
	rm -rf $env
	began=$(date +%s)
	# Debian's own Python, whatever else is on PATH: the pins are for its version.
	python=/usr/bin/python3
	[ -x $python ] || python=python3
	if ! { $python -m venv $env && $env/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-cache-dir \
		-r $pins; } > $log 2>&1; then
		cat $log
		rm -rf $env
		# Without an index there is nothing to hold graft against; any other failure to install is one.
		if grep -qE 'NewConnectionError|Name or service|name resolution|ProxyError|ConnectTimeout|unreachable|Connection refused' $log; then
			echo "not run: PyTorch cannot be installed, pip reaches no package index"
			echo "0 passed, 0 failed"
			exit 0
		fi
		echo "not run: pip could not install $pins"
		echo "0 passed, 1 failed"
		exit 1
	fi
	cp $pins $env/made-of
	echo "build/torch-env: made in $(($(date +%s) - began)) s, $(du -sm $env | cut -f 1) MB"
fi

# part NAME OPTION...: as in tests/check.sh.
part() {
	name=$1
	shift
	began=$(date +%s)
	$env/bin/python tests/torch/$name.py "$@" > $log 2>&1
	code=$?
	sum=$(tail -n 1 $log | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
	p=${sum% *} f=${sum#* }
	if [ -z "$sum" ] || { [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; }; then
		p=${p:-0} f=1
	fi
	cp $log build/torch/$name.log
	[ -n "$sum" ] && sed '$d' $log || cat $log
	echo "$name: $p passed, $f failed, $(($(date +%s) - began)) s"
	passed=$((passed + p)) failed=$((failed + f))
}

case "${1:-}" in
'')
	for p in kinds rows opinfo programs zoo; do part $p; done
	;;
--zoo) part zoo --all ;;
--all)
	part kinds
	for p in rows opinfo programs zoo; do part $p --all; done
	;;
*)
	for p; do part "$p"; done
	;;
esac
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
