import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { PairRecord } from '../../src/data/index.ts';
import { PROMPTS } from '../../src/generate/index.ts';
import { DEFAULT_GENERATOR, exportSafetensors, ModelStore } from '../../src/models/index.ts';
import { workerFile } from '../../src/system/index.ts';
import { type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { joinGlosses, readWordnet } from '../wordnet.ts';
import type { DpoFigures, DpoJob } from './dpo-child.ts';

const BATCH = 16;
const STEPS = scaled(4, 2);
/** Glosses per answer, from the shortest to the longest, so that lengths vary as in real answers. */
const GLOSSES = [2, 8] as const;
const MOST_TOKENS = 612;
/** Pairs per micro-batch of the peer: the published number, and a larger one. The faster one counts. */
const PER_DEVICE = [2, 4];

/**
 * DPO of SmolLM2-135M with the published adapter and batch, compared with TRL and PEFT: same weights, pairs and threads, each in
 * its own process. TRL runs without gradient checkpointing for speed and with it for memory.
 */
export async function run(): Promise<Row[]> {
  return withFolder(async (root) => {
    const { path } = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
    const folder = join(root, 'model');
    await exportSafetensors(folder, { base: path });
    const pairs = await makePairs(root);
    const common = {
      folder,
      pairs,
      cache: join(root, 'cache'),
      batchSize: BATCH,
      steps: STEPS,
      threads: threadCount(),
    };
    const job: DpoJob = { ...common, out: '', maxLength: MOST_TOKENS, microBatchTokens: 1024, mode: 'whole' };
    const whole = measure({ ...job, out: join(root, 'whole') });
    const blocks = measure({ ...job, out: join(root, 'blocks'), mode: 'blocks' });
    const peer = (perDevice: number, checkpointing: boolean) =>
      runPeer<DpoFigures>('dpo.py', { ...job, out: join(root, 'peer'), perDevice, checkpointing });
    const fast = PER_DEVICE.map((perDevice) => peer(perDevice, false)).sort((a, b) => (a?.step ?? 0) - (b?.step ?? 0));
    const small = peer(PER_DEVICE[0]!, true);
    return [
      ...rowsOf('activations kept', whole, fast[0]),
      ...rowsOf('activations computed again', blocks, small),
      referenceRow(whole, fast[0]),
    ];
  });
}

async function makePairs(root: string): Promise<PairRecord[]> {
  const { documents, queries } = await readWordnet(root, 4000, BATCH * STEPS);
  const answer = (at: number) => {
    const count = GLOSSES[0] + (at % (GLOSSES[1] - GLOSSES[0] + 1));
    return [{ role: 'assistant' as const, content: joinGlosses(documents, at * GLOSSES[1], count) }];
  };
  return queries.map(({ id, text }, index) => {
    const prompt = PROMPTS.q2d.messages({ id, query: text }).map(({ role, content }) => ({ role, content }));
    return { id, queryId: id, prompt, chosen: answer(2 * index), rejected: answer(2 * index + 1) };
  });
}

function measure(job: DpoJob): DpoFigures {
  const script = workerFile(import.meta.url, './dpo-child.ts');
  const result = spawnSync(process.execPath, [script], { input: JSON.stringify(job), encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`a measured process failed:\n${result.stderr}`);
  return JSON.parse(result.stdout) as DpoFigures;
}

function rowsOf(how: string, ours: DpoFigures, peer: DpoFigures | undefined): Row[] {
  const losses = ({ losses }: DpoFigures) => losses.map((loss) => loss.toFixed(4)).join(' ');
  const note = `losses ${losses(ours)}${peer ? `, peer ${losses(peer)}` : ''}`;
  const rate = (seconds: number | undefined, count: number) => seconds && count / seconds;
  const common = { unit: 'pairs/s', largerIsBetter: true, peerName: 'TRL + PEFT' };
  return [
    {
      ...{ what: `DPO steps, ${how}`, ...common, note },
      ...{ ours: BATCH / ours.step, peer: rate(peer?.step, BATCH) },
    },
    {
      ...{ what: `peak memory, ${how}`, unit: 'MB', largerIsBetter: false, peerName: common.peerName },
      ...{ ours: ours.peak / 1e6, peer: peer && peer.peak / 1e6 },
    },
  ];
}

/** The second of our runs finds them in the cache of the first. */
function referenceRow(ours: DpoFigures, peer: DpoFigures | undefined): Row {
  const note = "with loading on the peer's side";
  const common = { unit: 'pairs/s', largerIsBetter: true, peerName: 'TRL + PEFT', note };
  const rate = ({ reference }: DpoFigures) => (BATCH * STEPS) / reference;
  return { what: 'reference log-probabilities', ...common, ours: rate(ours), peer: peer && rate(peer) };
}
