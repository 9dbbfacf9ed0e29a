import { z } from 'zod';

/** How a local encoder is loaded. What is left out comes from the model's own files. */
export const encoderOptionsSchema = z.strictObject({
  /** `int8`: matrix products in bytes, two to three times faster, with vectors that differ in the second decimal. */
  precision: z.enum(['f32', 'int8']).default('f32'),
  /** Threads that compute. Default: all that the machine offers. */
  threads: z.int().positive().max(1024).optional(),
  pooling: z.enum(['mean', 'cls', 'max', 'mean_sqrt_len']).optional(),
  /** Whether vectors are scaled to length 1. */
  normalize: z.boolean().optional(),
  /** Tokens of a text, special ones included; what is longer is cut. */
  maxLength: z.int().min(3).optional(),
  /** Put before every query, and every expansion. */
  queryPrefix: z.string().optional(),
  /** Put before every document. */
  documentPrefix: z.string().optional(),
  /** Folder of compiled models. Default: `graphs` in the cache. */
  cache: z.string().optional(),
});
export type EncoderOptions = {
  [K in keyof z.input<typeof encoderOptionsSchema>]?: z.input<typeof encoderOptionsSchema>[K] | undefined;
} & {
  signal?: AbortSignal | undefined;
};
