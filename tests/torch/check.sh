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
env=build/torch-env pins=tests/torch/requirements.txt log=build/torch/install.log
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
		--no-compile --retries 2 -r $pins; } > $log 2>&1; then
		cat $log
		rm -rf $env
		# Without an index there is nothing to hold graft against; any other failure to install is one.
		if grep -qE 'NewConnectionError|Name or service|name resolution|ProxyError|ConnectTimeout|unreachable|Connection refused|timed out' $log; then
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

# one NAME OPTION...: runs a part; its output and what it ended with stay in build/torch.
one() {
	name=$1
	shift
	began=$(date +%s)
	$env/bin/python "tests/torch/${name%[12]}.py" "$@" > "build/torch/$name.log" 2>&1
	echo "$? $(($(date +%s) - began))" > "build/torch/$name.end"
}

# sum NAME: as part in tests/check.sh, a part that ends otherwise than with its sum counts as one failure.
sum() {
	read -r code seconds < "build/torch/$1.end"
	sum=$(tail -n 1 "build/torch/$1.log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
	p=${sum% *} f=${sum#* }
	if [ -z "$sum" ] || { [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; }; then
		cat "build/torch/$1.log"
		p=${p:-0} f=1
	else
		sed '$d' "build/torch/$1.log"
	fi
	echo "$1: $p passed, $f failed, $seconds s"
	passed=$((passed + p)) failed=$((failed + f))
}

trap 'kill $(jobs -p) 2> /dev/null' INT TERM
# Two at a time, for each takes one core.
case "${1:-}" in
'' | --all)
	parts="kinds rows opinfo programs zoo"
	{ one kinds; one rows; one opinfo ${1:+"$1"}; } &
	{ one programs ${1:+"$1"}; one zoo ${1:+"$1"}; } &
	;;
--zoo)
	parts="zoo1 zoo2"
	one zoo1 --all --half 1 &
	one zoo2 --all --half 2 &
	;;
*)
	parts="$*"
	for p; do one "$p"; done
	;;
esac
wait
for p in $parts; do sum "$p"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
