/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cmocka.h - found in place of the real one when configure did not find it */

#error "The unit tests need cmocka. Debian, Ubuntu: apt-get install \
libcmocka-dev; Fedora: dnf install libcmocka-devel; then run configure again."
