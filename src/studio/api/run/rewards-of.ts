import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { type RewardRecord, rewardSchema } from '../../../data/index.ts';
import { LineIndex, LineReader, parseJsonLine, readJsonl } from '../../../files/index.ts';

const idsSchema = z.object({ candidateId: z.string() });

/** Finds the rewards of candidates by id: their file need not have the order of the candidates. Keeps the index of one file. */
export class RewardsOf {
  #known: { key: string; index: Promise<LineIndex> } | undefined;

  /** Returns the rewards that there are, by candidate. */
  async find(path: string, candidates: readonly string[]): Promise<Map<string, RewardRecord>> {
    const index = await this.#indexOf(path);
    const reader = new LineReader(path);
    const found = new Map<string, RewardRecord>();
    try {
      for (const id of candidates) {
        for (const start of index.startsOf(id)) {
          const record = parseJsonLine(await reader.read(start), rewardSchema, path, 0);
          // The index tells ids apart by 64 bits.
          if (record.candidateId === id) found.set(id, record);
        }
      }
    } finally {
      await reader.close();
    }
    return found;
  }

  async #indexOf(path: string): Promise<LineIndex> {
    const { size, mtimeMs, ino } = await stat(path);
    const key = `${path} ${ino} ${size} ${mtimeMs}`;
    if (this.#known?.key !== key) this.#known = { key, index: indexRewards(path) };
    const { index } = this.#known;
    index.catch(() => {
      this.#known = undefined;
    });
    return index;
  }
}

async function indexRewards(path: string): Promise<LineIndex> {
  const index = new LineIndex();
  for await (const { value, start } of readJsonl(path, idsSchema)) index.add(value.candidateId, start ?? 0);
  return index;
}
