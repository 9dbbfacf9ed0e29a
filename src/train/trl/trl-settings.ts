import { z } from 'zod';
import { parseSettings, type RenamedSettings, UsageError } from '../../system/index.ts';
import { allProcesses, clusterShape, resolveCluster } from '../python/cluster-settings.ts';

/** The hardware that TRL uses: processes, machines, and precision. */
export const trlShape = {
  ...clusterShape,
  zero2: z
    .boolean()
    .default(false)
    .describe('shard optimiser state and gradients across the GPUs (DeepSpeed ZeRO stage 2)'),
  perDeviceTrainBatchSize: z
    .number()
    .int()
    .positive()
    .default(1)
    .describe('examples per process and forward pass; the rest of a batch is accumulated'),
  dtype: z
    .enum(['float32', 'bfloat16'])
    .default('float32')
    .describe('type of the base weights; bfloat16 halves their memory, the adapter stays float32'),
  gradientCheckpointing: z
    .enum(['auto', 'yes', 'no'])
    .default('auto')
    .describe('recompute activations instead of storing them; auto does so on GPUs'),
};

const trlSchema = z.strictObject(trlShape);

/** Former names of these settings. */
export const RENAMED_TRL_SETTINGS: RenamedSettings = {
  perDevice: 'perDeviceTrainBatchSize',
  recompute: 'gradientCheckpointing',
  mainAddress: 'mainProcessIp',
  mainPort: 'mainProcessPort',
};

/** Settings of the engine as a caller passes them; all have defaults. */
export type TrlSettingsInput = z.input<typeof trlSchema>;

/** The settings with every default filled in. */
export type TrlSettings = Omit<z.output<typeof trlSchema>, 'precision' | 'gradientCheckpointing'> & {
  precision: 'float32' | 'bfloat16';
  gradientCheckpointing: boolean;
};

/** Fills in the defaults. @throws UsageError for incompatible settings */
export function parseTrlSettings(given: TrlSettingsInput = {}): TrlSettings {
  const settings = parseSettings(trlSchema, given, { what: 'the engine', renamed: RENAMED_TRL_SETTINGS });
  if (settings.zero2 && settings.hardware === 'cpu') {
    throw new UsageError('zero2: DeepSpeed shards across GPUs only', { fix: 'Omit zero2 on CPUs.' });
  }
  const isGpu = settings.hardware === 'gpu';
  const { gradientCheckpointing } = settings;
  return {
    ...resolveCluster(settings),
    gradientCheckpointing: gradientCheckpointing === 'auto' ? isGpu : gradientCheckpointing === 'yes',
  };
}

/**
 * The number of micro-batches that each process takes per step.
 * @throws UsageError if a batch cannot be divided evenly
 */
export function accumulationSteps(batchSize: number, settings: TrlSettings): number {
  const atOnce = settings.perDeviceTrainBatchSize * allProcesses(settings);
  if (batchSize % atOnce === 0) return batchSize / atOnce;
  throw new UsageError(
    `batchSize: ${batchSize} examples per step cannot be divided among ${allProcesses(settings)} processes, ${settings.perDeviceTrainBatchSize} at a time`,
    {
      fix: `Use a multiple of ${atOnce}, or change the number of processes or perDeviceTrainBatchSize.`,
    },
  );
}
