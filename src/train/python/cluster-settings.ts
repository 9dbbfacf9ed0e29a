import { z } from 'zod';
import { parseSettings, UsageError } from '../../system/index.ts';

/** The hardware on which a program in Python trains: processes, machines, and precision. */
export const clusterShape = {
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
  precision: z
    .enum(['auto', 'float32', 'bfloat16'])
    .default('auto')
    .describe('precision of matrix products; auto is bfloat16 on GPUs, float32 on CPUs'),
};

const clusterSchema = z.strictObject(clusterShape);
export type ClusterInput = z.input<typeof clusterSchema>;

/** The settings with every default filled in. */
export type ClusterSettings = Omit<z.output<typeof clusterSchema>, 'precision'> & {
  precision: 'float32' | 'bfloat16';
};

/** accelerate's and torchrun's default port. */
export const MAIN_PORT = 29500;

/** In a shell script: its first word, the index of the machine, or 0. */
export const RANK = ['"$', '{1:-0}"'].join('');

/** Chooses the precision by the hardware. @throws UsageError for machines without an address */
export function resolveCluster<Given extends z.output<typeof clusterSchema>>(
  settings: Given,
): Omit<Given, 'precision'> & Pick<ClusterSettings, 'precision'> {
  const { machines, mainProcessIp, hardware, precision } = settings;
  if (machines > 1 && mainProcessIp === undefined) {
    throw new UsageError(`mainProcessIp: ${machines} machines need the address of the first one`, {
      fix: 'Pass the address at which the other machines reach the first one.',
    });
  }
  return { ...settings, precision: precision === 'auto' ? (hardware === 'gpu' ? 'bfloat16' : 'float32') : precision };
}

/** Fills in the defaults. @throws UsageError for machines without an address */
export function parseCluster(given: ClusterInput = {}): ClusterSettings {
  return resolveCluster(parseSettings(clusterSchema, given, { what: 'the engine' }));
}

/** The number of processes on all machines together. */
export function allProcesses({ processes, machines }: Pick<ClusterSettings, 'processes' | 'machines'>): number {
  return processes * machines;
}
