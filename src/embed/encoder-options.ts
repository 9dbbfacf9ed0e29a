import { z } from 'zod';

/** How to load a local encoder. The model's files provide omitted settings. */
export const encoderOptionsSchema = z.strictObject({
  /** `int8`: matrix products in bytes, two to three times as fast; vectors differ in the second decimal. */
  precision: z.enum(['f32', 'int8']).default('f32'),
  /** The number of threads. Default: all of the machine. */
  threads: z.int().positive().max(1024).optional(),
  pooling: z.enum(['mean', 'cls', 'max', 'mean_sqrt_len']).optional(),
  /** Whether vectors are scaled to length 1. */
  normalize: z.boolean().optional(),
  /** The maximum number of tokens per text, special ones included; longer texts are truncated. */
  maxLength: z.int().min(3).optional(),
  /** A prefix of every query and expansion. */
  queryPrefix: z.string().optional(),
  /** A prefix of every document. */
  documentPrefix: z.string().optional(),
  /** The folder of compiled models. Default: `graphs` in the cache. */
  cache: z.string().optional(),
});
export type EncoderOptions = {
  [K in keyof z.input<typeof encoderOptionsSchema>]?: z.input<typeof encoderOptionsSchema>[K] | undefined;
} & {
  signal?: AbortSignal | undefined;
};
