# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# steps.bash - named steps, their logs, their count; sourced by run and the tests
#
#   steps_begin             a folder for logs, $logs, gone at exit
#   steps_end               what an exit does, for who sets a trap of his own
#   step NAME COMMAND...    one line of result; the log's end if it failed
#   step_figure TEXT        called by the command: the last column of its line
#   $passed $failed         steps so far
#   $step_keep              a folder: the output of each step stays there
#
# A command that a step runs in the background is ended by whoever started it,
# by its process number.

passed=0
failed=0
logs=
step_keep=

steps_begin()
{
	logs=$(mktemp -d) || exit 1
	trap steps_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# libinfinipath, which some libfabric builds load, would turn a crash
	# into a plain exit.
	export IPATH_NO_BACKTRACE=1
	# configure would choose bash, in which libtool takes half of the time
	# that a small file takes to compile.
	[ ! -x /bin/dash ] || export CONFIG_SHELL=${CONFIG_SHELL:-/bin/dash}
}

# A distcheck that failed leaves folders that may not be written to.
steps_end()
{
	chmod -R u+w "$logs"
	rm -rf "$logs"
}

step_figure()
{
	printf '%s' "$*" >"$logs/figure"
}

step()
{
	local name=$1 log start seconds figure=
	shift
	log=$logs/step.log
	rm -f "$logs/figure" "$log"
	[ -z "$step_keep" ] || ln -s "$step_keep/$(printf '%02d-%s' \
		$((passed + failed + 1)) "${name//[^A-Za-z0-9]/-}").log" "$log"
	start=$SECONDS
	printf '%-44s ' "$name"
	if ("$@") >"$log" 2>&1 </dev/null; then
		passed=$((passed + 1))
		seconds=$((SECONDS - start))
		[ ! -f "$logs/figure" ] || figure=$(cat "$logs/figure")
		printf 'ok    %4d s  %s\n' "$seconds" "$figure"
		return 0
	fi
	failed=$((failed + 1))
	printf 'FAIL  %4d s\n' $((SECONDS - start))
	tail -n 60 "$log" | sed 's/^/    | /'
	return 1
}
