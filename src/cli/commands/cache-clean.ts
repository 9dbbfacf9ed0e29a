import { z } from 'zod';
import { cacheHome, cleanCache, UsageError } from '../../system/index.ts';
import { describeEntries, entryRecord, formatBytes, KIND_OPTION, kindsNamed } from '../cache-table.ts';
import { CACHES } from '../caches.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  olderThan: z
    .string()
    .regex(/^\d{1,6}(h|d|w)?$/, 'expected a time such as 12h, 30d or 8w')
    .default('30d')
    .describe('remove what was not used for this long, in hours, days or weeks'),
  kind: KIND_OPTION,
  all: z.boolean().default(false).describe('remove everything that is not in use, models too'),
  dryRun: z.boolean().default(false).describe('say what would be removed, and remove nothing'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

const DAYS = { h: 1 / 24, d: 1, w: 7 };

export const command = defineCommand({
  name: 'cache clean',
  summary: 'remove what is old, of another format, or left by a process that is gone',
  description: `Nothing of it is lost for good: it is fetched or computed again when it is needed. What another process is making (it holds a lock) stays.
Fetched models go only with --all or --kind models. Do not remove what a running command reads.`,
  options,
  examples: [
    ['llm-qe cache clean --dry-run', 'what was not used for 30 days, or is of no use any more'],
    ['llm-qe cache clean --kind vectors --older-than 1w', 'vectors of corpora that were not searched this week'],
  ],
  async run({ olderThan, kind, all, dryRun }, { say, json, signal }) {
    if (all && kind !== undefined) {
      throw new UsageError('--all and --kind contradict each other', {
        fix: 'For all of one kind give --kind and --older-than 0d.',
      });
    }
    const [, count, unit = 'd'] = /^(\d+)([hdw]?)$/.exec(olderThan)!;
    const olderThanDays = Number(count) * DAYS[(unit || 'd') as keyof typeof DAYS];
    const removed = await cleanCache(CACHES, { kinds: kindsNamed(kind), olderThanDays, all, dryRun, signal });
    const bytes = removed.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const line of removed.length === 0 ? [] : describeEntries(removed)) say(line);
    say(
      `${dryRun ? 'would remove' : 'removed'} ${removed.length} ${removed.length === 1 ? 'entry' : 'entries'}, ${formatBytes(bytes)}`,
    );
    json({ home: cacheHome(), dryRun, bytes, removed: removed.map(entryRecord) });
  },
});
