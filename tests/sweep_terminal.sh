#!/bin/sh
# sweep_terminal.sh - what is shown only on a terminal: a line while work takes over a second, erased at its end.
cd "$(dirname "$0")/.." || exit 2
graft=$PWD/build/check/graft
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

check() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf '%s: wanted\n%s\nfound\n%s\n' "$1" "$2" "$3"
	fi
}

# A graph that arrives slowly, on a pseudo terminal or not.
mkfifo "$tmp/slow"
feed() { { sleep "$1"; printf 'graph g\n'; } > "$tmp/slow"; }
shown() { tr '\r\033' '<^' < "$tmp/shown" | tr -d '\n'; }

cd "$tmp" || exit 2
if script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
	feed 1.4 &
	script -qec "$graft dump slow -o g.json" /dev/null > shown < /dev/null
	check "slow, on a terminal" "<loading slow, N s^[K<^[K" "$(shown | sed 's/, [0-9]* s/, N s/g; s/\(<loading slow, N s^\[K\)\1*/\1/')"
	feed 0.1 &
	script -qec "$graft dump slow -o g.json" /dev/null > shown < /dev/null
	check "quick, on a terminal" "" "$(shown)"
else
	echo "no pseudo terminal can be made here: not run"
fi
feed 1.4 &
"$graft" dump slow -o g.json > shown 2>&1
check "slow, on no terminal" "" "$(shown)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
