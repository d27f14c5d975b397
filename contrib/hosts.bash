# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# hosts.bash - the two sides of a program on two hosts; sourced by the tests,
# after steps.bash
#
#   hosts_up OPTION...      of "two-hosts up"; the hosts go when the script ends
#   two_hosts COMMAND...    as contrib/two-hosts, on these hosts
#   between SERVER... -- CLIENT...
#                           a command on host a, and one on host b
#   limited COMMAND...      ends after $limit seconds
#   $address                of host a

# shellcheck disable=SC2154 # $self and $limit are of who sources it
hosts=efa-test-$$
address=

limited()
{
	timeout -k 5 "$limit" "$@"
}

two_hosts()
{
	"$self/two-hosts" --name "$hosts" "$@"
}

hosts_up()
{
	trap 'two_hosts down >/dev/null 2>&1; steps_end' EXIT
	two_hosts up "$@" >"$logs/hosts" || return
	address=$(awk '$1 == "a" { print $NF }' "$logs/hosts")
}

between()
{
	local server=() pid status=0
	while [ "$1" != -- ]; do
		server+=("$1")
		shift
	done
	shift
	limited "$self/two-hosts" --name "$hosts" a "${server[@]}" &
	pid=$!
	sleep 0.5
	limited "$self/two-hosts" --name "$hosts" b "$@" || status=$?
	# A client that failed leaves a server that waits.
	[ "$status" = 0 ] || kill "$pid" 2>/dev/null
	wait "$pid" || status=$?
	return "$status"
}
