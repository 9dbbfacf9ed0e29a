import { z } from 'zod';
import { parseSettings, type RenamedSettings, UsageError } from '../../system/index.ts';

/** The hardware that TRL uses: processes, machines, and precision. */
export const trlShape = {
  hardware: z.enum(['gpu', 'cpu']).default('gpu').describe('hardware of each process'),
  processes: z.number().int().positive().default(1).describe('processes per machine: usually one per GPU'),
  machines: z.number().int().positive().default(1).describe('machines that train together'),
  mainProcessIp: z
    .string()
    .min(1)
    .optional()
    .describe('address at which the other machines reach the first one')
    .meta({ valueName: 'HOST' }),
  mainProcessPort: z
    .number()
    .int()
    .min(1)
    .max(65535)
    .optional()
    .describe('port of the first machine (default: 29500; on one machine, any free one)'),
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
  precision: z
    .enum(['auto', 'float32', 'bfloat16'])
    .default('auto')
    .describe('precision of matrix products; auto is bfloat16 on GPUs, float32 on CPUs'),
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
  if (settings.machines > 1 && settings.mainProcessIp === undefined) {
    throw new UsageError(`mainProcessIp: ${settings.machines} machines need the address of the first one`, {
      fix: 'Pass the address at which the other machines reach the first one.',
    });
  }
  const isGpu = settings.hardware === 'gpu';
  const { precision, gradientCheckpointing } = settings;
  return {
    ...settings,
    precision: precision === 'auto' ? (isGpu ? 'bfloat16' : 'float32') : precision,
    gradientCheckpointing: gradientCheckpointing === 'auto' ? isGpu : gradientCheckpointing === 'yes',
  };
}

/** The number of processes on all machines together. */
export function allProcesses({ processes, machines }: Pick<TrlSettings, 'processes' | 'machines'>): number {
  return processes * machines;
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
