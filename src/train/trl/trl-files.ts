import { join } from 'node:path';
import type { PairRecord } from '../../data/index.ts';
import { writeJsonl } from '../../files/index.ts';
import { isThere, makeFolder, writeDurably } from '../../system/index.ts';
import { accelerateConfig } from './accelerate-config.ts';
import { DATA_FOLDER, OUTPUT_FOLDER, trlArguments } from './trl-arguments.ts';
import { exampleOrder, type TrlJob, type TrlPlan } from './trl-plan.ts';
import { toYaml } from './yaml.ts';

const CONFIG_FILE = 'trl.yaml';
export const SCRIPT_FILE = 'train.sh';

/**
 * Writes the input of TRL's command line into the folder of a run: the examples (`data/train.jsonl`,
 * `data/test.jsonl`), `trl.yaml`, `accelerate-<machine>.yaml` for each machine, and `train.sh`, which starts the part
 * of one machine. Paths in these files are relative to the folder.
 * @throws UsageError, ResourceError
 */
export async function writeTrlFiles(folder: string, job: TrlJob, plan: TrlPlan): Promise<void> {
  await makeFolder(join(folder, DATA_FOLDER));
  const { train, dev } = job.pairs;
  await writeExamples(
    join(folder, DATA_FOLDER, 'train.jsonl'),
    exampleOrder(train.length, plan.settings).map((index) => train[index]!),
    job.method,
  );
  if (dev.length > 0) await writeExamples(join(folder, DATA_FOLDER, 'test.jsonl'), dev, job.method);
  await writeDurably(join(folder, CONFIG_FILE), toYaml(trlArguments(plan)));
  for (let rank = 0; rank < plan.engine.machines; rank++) {
    await writeDurably(join(folder, accelerateFile(rank)), toYaml(accelerateConfig(plan.engine, rank)));
  }
  await writeDurably(join(folder, SCRIPT_FILE), scriptOf(job.method));
}

/** The script for a cluster that has TRL but not this program. */
function scriptOf(method: TrlJob['method']): string {
  return `#!/bin/sh
# Trains with TRL; needs the trl command: sh ${SCRIPT_FILE} [INDEX OF THE MACHINE, FROM 0]
# Set MODEL=FOLDER_OR_NAME if the base is not where ${CONFIG_FILE} says. An interrupted run resumes.
cd "$(dirname "$0")" || exit 1
last=$(ls -d ${OUTPUT_FOLDER}/checkpoint-* 2>/dev/null | sort -t - -k 2 -n | tail -n 1)
exec trl ${method} --config ${CONFIG_FILE} --accelerate_config "accelerate-\${1:-0}.yaml" \
  \${MODEL:+--model_name_or_path "$MODEL"} \${last:+--resume_from_checkpoint "$last"}
`;
}

/** An existing file is complete. It is left unchanged because TRL recognises it by its modification time. */
async function writeExamples(file: string, pairs: readonly PairRecord[], method: TrlJob['method']): Promise<void> {
  if (await isThere(file)) return;
  await writeJsonl(
    file,
    pairs.map((pair) => toExample(pair, method)),
  );
}

/** A pair in the columns that TRL's trainers know, and no others. */
function toExample({ prompt, chosen, rejected }: PairRecord, method: TrlJob['method']) {
  return method === 'dpo' ? { prompt, chosen, rejected } : { prompt, completion: chosen };
}

function accelerateFile(rank: number): string {
  return `accelerate-${rank}.yaml`;
}

/** The words after `trl` on the command line, in the folder of the run. @param rank index of the machine, from 0 */
export function trlWords(method: TrlJob['method'], rank = 0): string[] {
  return [method, '--config', CONFIG_FILE, '--accelerate_config', accelerateFile(rank)];
}

/** The command to run in the folder of the run on each machine, starting with the first machine. */
export function trlCommands({ method, engine }: TrlPlan): string[] {
  return Array.from({ length: engine.machines }, (_, rank) => ['trl', ...trlWords(method, rank)].join(' '));
}
