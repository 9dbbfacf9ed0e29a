import { z } from 'zod';
import { cacheHome, listCache } from '../../system/index.ts';
import { describeEntries, entryRecord, KIND_OPTION, kindsNamed } from '../cache-table.ts';
import { CACHES } from '../caches.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  kind: KIND_OPTION,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'cache list',
  summary: 'show what is kept to be used again: sizes, ages, and what each belongs to',
  description: `All of it lies below one folder (LLM_QE_HOME, or ~/.cache/llm-qe) and can be fetched or computed again. The age counts from the last
use, as far as the file system notes reads.`,
  options,
  examples: [
    ['llm-qe cache list', 'models, vectors, indexes, compiled models and more'],
    ['llm-qe cache list --kind vectors --json', 'one kind, for a program'],
  ],
  async run({ kind }, { say, json, signal }) {
    const kinds = kindsNamed(kind);
    const entries = await listCache(
      CACHES.filter(({ name }) => kinds?.includes(name) ?? true),
      { signal },
    );
    for (const line of describeEntries(entries)) say(line);
    json({ home: cacheHome(), entries: entries.map(entryRecord) });
  },
});
