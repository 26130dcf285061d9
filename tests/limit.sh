#!/bin/sh
# limit.sh SECONDS COMMAND... - runs it; what is not done by then is stopped (exit 124) and named on stderr.
seconds=$1
shift
command -v timeout > /dev/null || exec "$@"
timeout "$seconds" "$@"
code=$?
[ "$code" -ne 124 ] || echo "timed out after $seconds s: $*" >&2
exit "$code"
