#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# autogen.sh - make configure and Makefile.in, as after a fresh clone

set -eu
cd "$(dirname "$0")"

missing=
for tool in autoreconf automake libtoolize pkg-config; do
	command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	echo "autogen.sh: not found:$missing" >&2
	echo "  Debian, Ubuntu:  apt-get install autoconf automake libtool pkg-config" >&2
	echo "  Fedora, RHEL:    dnf install autoconf automake libtool pkgconf-pkg-config" >&2
	exit 1
fi

mkdir -p m4
exec autoreconf --install "$@"
