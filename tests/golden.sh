#!/bin/sh
# golden.sh - runs the golden cases: a graph in, exact text out.
#
#     tests/golden.sh [--bless] [--graft PROGRAM] [--packs FOLDER] [--device D] [FILE.test...]
#
# A case:
#
#     === its name
#     % bind T=3 S=4                   what the numeric check binds symbols to; % no-numeric: reason, % no-device: reason and
#     $ graft opt - --passes dce       % no-roundtrip: reason leave a check out. Command lines of sh; the first that fails ends the case
#     standard input of the first command
#     ---
#     exactly what is printed
#     --- stderr                       when something is written there
#     exactly that
#     --- exit 3                       when it is not 0
#
# Blank lines in front of the next === do not count. A case runs in a folder of its own, with tests/data as data/, examples/ and packs/.
# A case with the one command `graft opt - ...` that prints a graph must also survive notation -> JSON -> notation and back, and compute the
# same numbers with and without the passes; with --device, also before them on the CPU and behind them on D, where a case with the one command
# `graft run - --device cpu ...` must print the same too. --bless writes what was found into the files.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 2
root=$(dirname "$here")
graft=$root/build/check/graft packs=$root/build/packs bless=0 device=

die() { echo "golden.sh: $*" >&2; exit 2; }

while [ $# -gt 0 ]; do
	case $1 in
	--bless) bless=1 ;;
	--graft) graft=${2:?--graft needs a program}; shift ;;
	--packs) packs=${2:?--packs needs a folder}; shift ;;
	--device) device=${2:?--device needs the name of one}; shift ;;
	-*) die "no such option: $1" ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- "$here"/golden/*.test
[ -x "$graft" ] || die "$graft is not there; build it first"
for f in "$@"; do
	[ -f "$f" ] || die "$f is not there"
done

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
mkdir "$tmp/bin" "$tmp/case"
ln -s "$(absolute "$graft")" "$tmp/bin/graft"
ln -s "$here/data" "$tmp/case/data"
ln -s "$root/examples" "$tmp/case/examples"
ln -s "$(absolute "$packs")" "$tmp/case/packs"
case $device in hip:*) device=hip:$(absolute "${device#hip:}") ;; esac
PATH=$tmp/bin:$PATH
if command -v timeout >/dev/null; then limit="timeout 60"; else limit=; fi

# limited FILE: the commands in it; `checks` names those that were stopped because they were not done in time.
limited() {
	$limit sh "./$1"
	set -- "$1" $?
	[ $2 != 124 ] || { echo "timed out after ${limit#* } s:"; cat "$1"; } >>checks
	return $2
}

# Each case becomes a folder with cmds, in and, where they apply, roundtrip and numeric (the command).
split='
function finish()
{
	if (!dir)
		return
	close(dir "/cmds")
	close(dir "/in")
	if (n_cmds == 1 && cmd ~ /^graft opt -( |$)/ && cmd !~ /[|<>;&]/) {
		if (!no_roundtrip)
			print "" > (dir "/roundtrip")
		if (!no_numeric)
			print "graft verify -" options(cmd) " --random 1" bind > (dir "/numeric")
		if (!no_numeric && !no_device && device && cmd !~ / --(kernels|target) /)
			print "graft verify -" options(cmd) " --random 1" bind " --reference cpu --device " device > (dir "/numeric_there")
		close(dir "/roundtrip")
		close(dir "/numeric")
		close(dir "/numeric_there")
	}
	if (n_cmds == 1 && device && !no_device && cmd !~ /[|<>;&]/ && sub(/^graft run - --device cpu/, "graft run - --device " device, cmd)) {
		print cmd > (dir "/run_there")
		close(dir "/run_there")
	}
	dir = ""
}
# What of the command changes the rewritten graph, not what is shown of it.
function options(line,    n, word, i, kept)
{
	n = split(line, word, " ")
	for (i = 4; i <= n; i++) {
		if (word[i] == "--to" || word[i] == "-o" || word[i] == "--dump-dir" || word[i] == "--expect")
			i++
		else if (word[i] !~ /^--(to=|explain|stats|timing|print-|dump-dir=|expect=)/)
			kept = kept " " word[i]
	}
	return kept
}
/^=== / {
	finish()
	dir = tmp "/case/" ++n_cases
	n_cmds = no_roundtrip = no_numeric = no_device = 0
	bind = ""
	reading = 1
	printf "" > (dir "/in")
	print "set -e" > (dir "/cmds")
	next
}
!reading { next }
$0 == "---" { reading = 0; next }
reading == 1 && /^% bind / {
	for (i = 3; i <= NF; i++)
		bind = bind " --bind " $i
	next
}
reading == 1 && /^% no-numeric: / { no_numeric = 1; next }
reading == 1 && /^% no-device: / { no_device = 1; next }
reading == 1 && /^% no-roundtrip: / { no_roundtrip = 1; next }
reading == 1 && /^% / { print "echo golden.sh: no such line with % >&2; exit 2" > (dir "/cmds"); next }
reading == 1 && /^\$ / {
	cmd = substr($0, 3)
	print (n_cmds++ ? "</dev/null " : "") cmd > (dir "/cmds")
	next
}
{ reading = 2; print > (dir "/in") }
END { finish() }
'

same_text() { graft dump "$1" --to json >rt.json 2>>checks && graft dump rt.json --to text >rt.text 2>>checks && cmp "$1" rt.text >>checks 2>&1; }
same_json() { graft dump "$1" --to text >rt.text 2>>checks && graft dump rt.text --to json >rt2.json 2>>checks && cmp "$1" rt2.json >>checks 2>&1; }

# Runs the case in the current folder; what its further checks found wrong is in `checks`.
run_case() {
	ln -s ../data ../examples ../packs .
	limited cmds <in >out 2>err
	status=$?
	echo $status >exit
	first=
	[ $status = 0 ] && [ -f roundtrip -o -f numeric ] && read -r first <out
	case $first in
	graph\ *) [ ! -f roundtrip ] || { same_text out && same_json rt.json; } || echo "the round trip fails" >>checks ;;
	{*) [ ! -f roundtrip ] || same_json out || echo "the round trip fails" >>checks ;;
	*) rm -f numeric numeric_there ;;
	esac
	for c in numeric numeric_there; do
		[ ! -f $c ] || limited $c <in >numbers 2>&1 || { cat $c numbers; } >>checks
	done
	[ ! -f run_there ] || [ $status != 0 ] || { limited run_there <in >there 2>numbers && diff out there; } >>checks 2>&1 || cat run_there numbers >>checks
	printf . >>out
}

# Every second case from the $1th of $2 on.
run_half() {
	i=$1
	while [ "$i" -le "$2" ]; do
		(cd "$tmp/case/$i" && run_case)
		i=$((i + 2))
	done
}

# Puts what was found in the place of what was expected, says where they differ.
merge='
function slurp(file,    line, text)
{
	text = ""
	while ((getline line < file) > 0)
		text = text line "\n"
	close(file)
	return text
}
# Every output has a "." behind it: on a line of its own when the last line was whole.
function found(    text, err, code)
{
	text = slurp(dir "/out")
	if (text ~ /(^|\n)\.\n$/)
		text = substr(text, 1, length(text) - 2)
	else
		text = substr(text, 1, length(text) - 2) "\n\\ no newline at the end\n"
	err = slurp(dir "/err")
	code = slurp(dir "/exit")
	if (err != "")
		text = text "--- stderr\n" err
	if (code != "0\n")
		text = text "--- exit " code
	return text
}
function differ(    wanted_file, found_file)
{
	wanted_file = dir "/.wanted"
	found_file = dir "/.found"
	printf "%s", wanted > wanted_file
	printf "%s", got > found_file
	close(wanted_file)
	close(found_file)
	fflush()
	system("diff -u " wanted_file " " found_file " | tail -n +3")
}
function finish(    problems)
{
	if (!dir)
		return
	got = found()
	problems = slurp(dir "/checks")
	while (wanted ~ /(^|\n)\n$/)
		wanted = substr(wanted, 1, length(wanted) - 1)
	printf "---\n%s", got > result
	if (state != "expected")
		problems = problems "the case has no line ---\n"
	if ((got != wanted && !bless) || problems != "") {
		print FILE ":" at ": FAIL " name
		if (got != wanted)
			differ()
		printf "%s", problems
		failed++
	} else {
		passed++
	}
	dir = ""
}
FNR == 1 {
	if (FILE != "") {
		finish()
		close(result)
	}
	FILE = FILENAME
	result = tmp "/new" ++n_files
	state = "head"
	printf "" > result
}
/^=== / {
	if (dir)
		finish()
	if (state == "expected")
		print "" > result
	dir = tmp "/case/" ++n_cases
	name = substr($0, 5)
	at = FNR
	wanted = ""
	state = "case"
}
state == "case" && $0 == "---" { state = "expected"; next }
state == "expected" { wanted = wanted $0 "\n"; next }
{ print > result }
END {
	finish()
	printf "%d passed, %d failed\n", passed, failed
	exit failed > 0
}
'

n=$(cat "$@" | grep -c '^=== ')
[ "$n" -gt 0 ] || die "no case in $*"
i=0
(while [ $((i += 1)) -le "$n" ]; do echo "$tmp/case/$i"; done) | xargs mkdir
awk -v tmp="$tmp" -v device="$device" "$split" "$@" || die "cannot take the cases apart"
run_half 1 "$n" &
run_half 2 "$n"
wait
awk -v tmp="$tmp" -v bless=$bless "$merge" "$@"
status=$?
if [ $bless = 1 ]; then
	i=0
	for f in "$@"; do
		i=$((i + 1))
		cmp -s "$tmp/new$i" "$f" || { cp "$tmp/new$i" "$f" && echo "$f is rewritten"; }
	done
fi
exit $status
