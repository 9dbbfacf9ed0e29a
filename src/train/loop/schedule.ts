export type ScheduleKind = 'linear' | 'cosine' | 'constant';

/** A learning rate schedule over a run. */
export interface Schedule {
  kind: ScheduleKind;
  /** Warm-up steps, or a fraction of all steps if below 1. */
  warmup: number;
  /** Optimiser steps of the complete run. */
  steps: number;
}

/** The number of warm-up steps. A fraction is rounded up, as in Transformers. */
export function warmupSteps({ warmup, steps }: Schedule): number {
  return warmup >= 1 ? warmup : Math.ceil(steps * warmup);
}

/**
 * The learning rate factor at a step, counted from 0. It equals Transformers' `get_linear_schedule_with_warmup`,
 * `get_cosine_schedule_with_warmup` (half a wave) and `get_constant_schedule_with_warmup`. With warm-up, the first step
 * has factor 0. Without it, the first step has factor 1. Linear decay would reach 0 one step after the last.
 */
export function scheduleFactor(schedule: Schedule, step: number): number {
  const rising = warmupSteps(schedule);
  if (step < rising) return step / rising;
  if (schedule.kind === 'constant') return 1;
  const progress = (step - rising) / Math.max(1, schedule.steps - rising);
  if (schedule.kind === 'cosine') return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  return Math.max(0, (schedule.steps - step) / Math.max(1, schedule.steps - rising));
}
