/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_scene.h - the scenarios
 *
 * Each prints a table and its pass lines. What runs in it ends the program
 * when the oracle sees something that must not be.
 */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

#include "sim_stage.h"

void sim_scene_d1(struct sim_run *run);
void sim_scene_d2(struct sim_run *run);
void sim_scene_d3(struct sim_run *run);
void sim_scene_d4(struct sim_run *run);
void sim_scene_d5(struct sim_run *run);
void sim_scene_perm(struct sim_run *run);
void sim_scene_incast(struct sim_run *run);
void sim_scene_random(struct sim_run *run);

#endif
