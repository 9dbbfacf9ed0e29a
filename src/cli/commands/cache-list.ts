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
  summary: 'show the cache: size, last use and purpose of each entry',
  description: `The cache is one folder (LLM_QE_HOME, or ~/.cache/llm-qe). Everything in it can be downloaded or computed again. The time of the last
use is only as exact as the access times of the file system.`,
  options,
  examples: [
    ['llm-qe cache list', 'models, vectors, indexes, compiled models and more'],
    ['llm-qe cache list --kind vectors --json', 'one kind, as JSON'],
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
