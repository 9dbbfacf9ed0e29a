import { z } from 'zod';
import { cacheHome, cleanCache, counted, UsageError } from '../../system/index.ts';
import { describeEntries, entryRecord, formatBytes, KIND_OPTION, kindsNamed } from '../cache-table.ts';
import { CACHES } from '../caches.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  olderThan: z
    .string()
    .regex(/^\d{1,6}(h|d|w)?$/, 'expected a time such as 12h, 30d or 8w')
    .default('30d')
    .describe('remove entries unused for this long, in hours (h), days (d) or weeks (w)'),
  kind: KIND_OPTION,
  all: z.boolean().default(false).describe('remove every entry that is not locked, including models'),
  dryRun: z.boolean().default(false).describe('list what would be removed, and remove nothing'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

const DAYS = { h: 1 / 24, d: 1, w: 7 };

export const command = defineCommand({
  name: 'cache clean',
  summary: 'remove cache entries that are old, in an outdated format, or left by a dead process',
  description: `Removed entries are downloaded or computed again when they are needed. Entries that another process is writing are locked, and stay.
Downloaded models are removed only with --all or --kind models. Do not remove entries that a running command reads.`,
  options,
  examples: [
    ['llm-qe cache clean --dry-run', 'list what was unused for 30 days or is obsolete'],
    ['llm-qe cache clean --kind vectors --older-than 1w', 'vectors of corpora that were not searched this week'],
  ],
  async run({ olderThan, kind, all, dryRun }, { say, json, signal }) {
    if (all && kind !== undefined) {
      throw new UsageError('--all and --kind contradict each other', {
        fix: 'To remove all entries of one kind, use --kind and --older-than 0d.',
      });
    }
    const [, count, unit = 'd'] = /^(\d+)([hdw]?)$/.exec(olderThan)!;
    const olderThanDays = Number(count) * DAYS[(unit || 'd') as keyof typeof DAYS];
    const removed = await cleanCache(CACHES, { kinds: kindsNamed(kind), olderThanDays, all, dryRun, signal });
    const bytes = removed.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const line of removed.length === 0 ? [] : describeEntries(removed)) say(line);
    say(`${dryRun ? 'would remove' : 'removed'} ${counted(removed.length, 'entry')}, ${formatBytes(bytes)}`);
    json({ home: cacheHome(), dryRun, bytes, removed: removed.map(entryRecord) });
  },
});
