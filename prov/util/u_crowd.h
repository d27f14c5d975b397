/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_crowd.h - more threads than processors: who waits makes room for who works
 */
#ifndef U_CROWD_H
#define U_CROWD_H

/*
 * The calling thread has looked some hundred times in a row, and found nothing
 * to do. Costs a look at the clock, and where others want the processor a system
 * call and another one.
 */
void u_crowd_make_room(void);

#endif
