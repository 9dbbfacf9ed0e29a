import { z } from 'zod';
import { parseSettings, type RenamedSettings, UsageError } from '../../system/index.ts';

/** On what TRL computes: how many processes, where, and in which precision. */
export const trlShape = {
  hardware: z.enum(['gpu', 'cpu']).default('gpu').describe('what each process computes on'),
  processes: z.number().int().positive().default(1).describe('processes on each machine: one a GPU, as a rule'),
  machines: z.number().int().positive().default(1).describe('machines that train together'),
  mainProcessIp: z
    .string()
    .min(1)
    .optional()
    .describe('address of the first machine, as the others reach it')
    .meta({ valueName: 'HOST' }),
  mainProcessPort: z
    .number()
    .int()
    .min(1)
    .max(65535)
    .optional()
    .describe('port of the first machine (default: 29500; on one machine, any free one)'),
  zero2: z.boolean().default(false).describe('share optimiser and gradients among the GPUs (DeepSpeed ZeRO stage 2)'),
  perDeviceTrainBatchSize: z
    .number()
    .int()
    .positive()
    .default(1)
    .describe('examples that a process takes at once; the rest of a batch is accumulated'),
  precision: z
    .enum(['auto', 'float32', 'bfloat16'])
    .default('auto')
    .describe('of the matrix products; auto is bfloat16 on GPUs, float32 on CPUs'),
  dtype: z
    .enum(['float32', 'bfloat16'])
    .default('float32')
    .describe(
      'in which the weights of the base are kept; bfloat16 takes half the memory, and the adapter stays in float32',
    ),
  gradientCheckpointing: z
    .enum(['auto', 'yes', 'no'])
    .default('auto')
    .describe('compute activations twice in place of keeping them; auto does so on GPUs'),
};

const trlSchema = z.strictObject(trlShape);

/** Names that these settings had before. */
export const RENAMED_TRL_SETTINGS: RenamedSettings = {
  perDevice: 'perDeviceTrainBatchSize',
  recompute: 'gradientCheckpointing',
  mainAddress: 'mainProcessIp',
  mainPort: 'mainProcessPort',
};

/** Settings of the engine as a caller gives them; all have defaults. */
export type TrlSettingsInput = z.input<typeof trlSchema>;

/** The settings with every default filled in. */
export type TrlSettings = Omit<z.output<typeof trlSchema>, 'precision' | 'gradientCheckpointing'> & {
  precision: 'float32' | 'bfloat16';
  gradientCheckpointing: boolean;
};

/** Fills in the defaults. @throws UsageError for settings that do not go together */
export function parseTrlSettings(given: TrlSettingsInput = {}): TrlSettings {
  const settings = parseSettings(trlSchema, given, { what: 'the engine', renamed: RENAMED_TRL_SETTINGS });
  if (settings.zero2 && settings.hardware === 'cpu') {
    throw new UsageError('zero2: DeepSpeed shares the memory of GPUs', { fix: 'Leave it out on CPUs.' });
  }
  if (settings.machines > 1 && settings.mainProcessIp === undefined) {
    throw new UsageError(`mainProcessIp: ${settings.machines} machines have to find the first one`, {
      fix: 'Give the address under which the other machines reach it.',
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

/** Processes on all machines together. */
export function allProcesses({ processes, machines }: Pick<TrlSettings, 'processes' | 'machines'>): number {
  return processes * machines;
}

/**
 * Micro-batches that each process takes for one step.
 * @throws UsageError if a batch cannot be dealt out evenly
 */
export function accumulationSteps(batchSize: number, settings: TrlSettings): number {
  const atOnce = settings.perDeviceTrainBatchSize * allProcesses(settings);
  if (batchSize % atOnce === 0) return batchSize / atOnce;
  throw new UsageError(
    `batchSize: ${batchSize} examples a step cannot be dealt out to ${allProcesses(settings)} processes, ${settings.perDeviceTrainBatchSize} at once`,
    {
      fix: `Take a multiple of ${atOnce}, or another number of processes or examples at once (perDeviceTrainBatchSize).`,
    },
  );
}
