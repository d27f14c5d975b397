/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sanitized.h - which sanitizer a test is built with, in the words of gcc and of
 * clang
 */
#ifndef SANITIZED_H
#define SANITIZED_H

#if defined(__has_feature)
#define SANITIZED_THREAD __has_feature(thread_sanitizer)
#define SANITIZED_ADDRESS __has_feature(address_sanitizer)
#else
#if defined(__SANITIZE_THREAD__)
#define SANITIZED_THREAD 1
#else
#define SANITIZED_THREAD 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED_ADDRESS 1
#else
#define SANITIZED_ADDRESS 0
#endif
#endif

#endif
