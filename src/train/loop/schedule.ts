export type ScheduleKind = 'linear' | 'cosine' | 'constant';

/** A course of the learning rate over a run. */
export interface Schedule {
  kind: ScheduleKind;
  /** Steps of warm-up, or their share of all steps where it is below 1. */
  warmup: number;
  /** Optimiser steps of the whole run. */
  steps: number;
}

/** Steps of warm-up; a share is rounded up, as Transformers does. */
export function warmupSteps({ warmup, steps }: Schedule): number {
  return warmup >= 1 ? warmup : Math.ceil(steps * warmup);
}

/**
 * The factor of the learning rate at a step, counted from 0: the values of Transformers' `get_linear_schedule_with_warmup`,
 * `get_cosine_schedule_with_warmup` (half a wave) and `get_constant_schedule_with_warmup`. With warm-up the very first
 * step has factor 0; without, it has 1, and linear decay would reach 0 one step after the last.
 */
export function scheduleFactor(schedule: Schedule, step: number): number {
  const rising = warmupSteps(schedule);
  if (step < rising) return step / rising;
  if (schedule.kind === 'constant') return 1;
  const progress = (step - rising) / Math.max(1, schedule.steps - rising);
  if (schedule.kind === 'cosine') return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  return Math.max(0, (schedule.steps - step) / Math.max(1, schedule.steps - rising));
}
