import { basename } from 'node:path';
import { z } from 'zod';
import { describeIssues, IdSet, idSchema, parseJson, readLines, writeJsonl } from '../../files/index.ts';
import { DataError, type FaultOptions } from '../../system/index.ts';
import { type Message, type PairRecord, pairSchema } from './alignment-records.ts';

/**
 * Layout of a file of pairs: `trl` is TRL's conversational preference format; `conversations` is the layout in which the method's
 * authors publish their data, `{conversations: [{from: "human", value}], chosen: {from: "gpt", value}, rejected}`.
 */
export const PAIR_LAYOUTS = ['trl', 'conversations'] as const;
export type PairLayout = (typeof PAIR_LAYOUTS)[number];

/** Why a pair teaches nothing. */
export const PAIR_FAULTS = ['empty prompt', 'empty chosen', 'empty rejected', 'chosen equals rejected'] as const;
export type PairFault = (typeof PAIR_FAULTS)[number];

/** Which completions a trainer reads: preference training needs both, supervised fine-tuning (SFT) only the chosen one. */
export type PairSides = 'both' | 'chosen';

export interface PairReading {
  pairs: PairRecord[];
  /** Number of skipped pairs, by reason. */
  skipped: Record<PairFault, number>;
  /** The first few skipped pairs, as file, line (row in a JSON array) and id. */
  examples: string[];
}

export interface ReadPairsOptions {
  /** What to do with a pair that teaches nothing: skip and count it (the default), or refuse the file. */
  faults?: 'skip' | 'refuse' | undefined;
  /** With `chosen`, a rejected side may be empty or equal to the chosen one. Default `both`. */
  sides?: PairSides | undefined;
  signal?: AbortSignal | undefined;
}

const EXAMPLES = 5;

/** The position of a pair: a line of a JSONL file or a row of a JSON array. Both count from 1. */
interface PairPlace {
  file: string;
  unit: 'line' | 'row';
  number: number;
}

/** Gives the position in the file's own unit: in an array, a line number would mislead. */
function faultAt({ file, unit, number }: PairPlace, reason: string, more: Pick<FaultOptions, 'fix' | 'id'>): DataError {
  if (unit === 'line') return new DataError(reason, { file, line: number, ...more });
  return new DataError(`row ${number}: ${reason}`, { file, ...more });
}

/**
 * Reads preference pairs in either layout, as JSONL or as one JSON array, possibly gzipped. If no row has an id, a row's id is
 * `<file>-<row>`.
 *
 * @throws DataError if a row has neither layout, if a role is unknown, or if ids are duplicates, are missing in some rows, or
 * belong to different queries; with `faults: 'refuse'` also if a pair teaches nothing
 */
export async function readPairs(file: string, options: ReadPairsOptions = {}): Promise<PairReading> {
  const reading: PairReading = { pairs: [], skipped: noFaults(), examples: [] };
  const ids = new PairIds(file);
  for await (const { value, place } of readRows(file, options.signal)) {
    const pair = ids.complete(parsePair(value, place), place);
    const fault = findFault(pair, options.sides);
    if (fault === undefined) {
      reading.pairs.push(pair);
      continue;
    }
    if (options.faults === 'refuse') {
      throw faultAt(place, `${fault}: the pair teaches nothing`, { fix: 'Remove this pair.' });
    }
    reading.skipped[fault]++;
    const where = place.unit === 'line' ? `${file}:${place.number}` : `${file}, row ${place.number}`;
    if (reading.examples.length < EXAMPLES) reading.examples.push(`${where}, id ${pair.id}: ${fault}`);
  }
  return reading;
}

/**
 * Returns why a pair teaches nothing; undefined if it teaches something.
 *
 * @param sides which completions are read
 */
export function findFault(
  { prompt, chosen, rejected }: Pick<PairRecord, 'prompt' | 'chosen' | 'rejected'>,
  sides: PairSides = 'both',
): PairFault | undefined {
  if (isBlank(prompt)) return 'empty prompt';
  if (isBlank(chosen)) return 'empty chosen';
  if (sides === 'chosen') return undefined;
  if (isBlank(rejected)) return 'empty rejected';
  return textOf(chosen) === textOf(rejected) ? 'chosen equals rejected' : undefined;
}

/** Returns a count of zero for each fault. */
export function noFaults(): Record<PairFault, number> {
  return { 'empty prompt': 0, 'empty chosen': 0, 'empty rejected': 0, 'chosen equals rejected': 0 };
}

/** Writes pairs in one of the layouts, durably. @returns the number of pairs */
export async function writePairs(
  file: string,
  pairs: Iterable<PairRecord> | AsyncIterable<PairRecord>,
  layout: PairLayout = 'trl',
): Promise<number> {
  return writeJsonl(file, layout === 'trl' ? pairs : inConversations(pairs));
}

async function* inConversations(pairs: Iterable<PairRecord> | AsyncIterable<PairRecord>) {
  for await (const pair of pairs) yield toConversations(pair);
}

/** Returns a pair in the published layout. Fields that this layout lacks are added to it. */
export function toConversations({ prompt, chosen, rejected, ...rest }: PairRecord): Record<string, unknown> {
  const [turn, other] = [chosen, rejected].map((side) => ({ from: 'gpt', value: textOf(side) }));
  return { ...rest, conversations: prompt.map(toTurn), chosen: turn, rejected: other };
}

function toTurn({ role, content }: Message): { from: string; value: string } {
  return { from: role === 'user' ? 'human' : role === 'assistant' ? 'gpt' : role, value: content };
}

function textOf(side: readonly Message[]): string {
  return side.map(({ content }) => content).join('\n');
}

function isBlank(side: readonly Message[]): boolean {
  return side.every(({ content }) => content.trim() === '');
}

/** The rows of a JSONL file, or of one JSON array. @throws DataError */
async function* readRows(
  file: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ value: unknown; place: PairPlace }> {
  const lines: string[] = [];
  for await (const { text, line } of readLines(file, { signal })) {
    if (lines.length > 0 || text.trimStart().startsWith('[')) lines.push(text);
    else yield { value: parseJson(text, file, line), place: { file, unit: 'line', number: line } };
  }
  if (lines.length === 0) return;
  const array = parseJson(lines.join('\n'), file, 1);
  for (const [row, value] of (array as unknown[]).entries()) {
    yield { value, place: { file, unit: 'row', number: row + 1 } };
  }
}

const ROLES: Record<string, Message['role']> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  system: 'system',
};

const turnSchema = z.object({ from: z.string(), value: z.string() });
const chatSchema = z.array(z.object({ role: z.string(), content: z.string() })).min(1, 'is empty');

/** The fields of both layouts, with unchecked ids. */
const auditShape = {
  id: idSchema.optional(),
  queryId: idSchema.optional(),
  ...pairSchema.pick({ chosenId: true, rejectedId: true, chosenReward: true, rejectedReward: true }).shape,
};
const conversationsSchema = z.object({
  ...auditShape,
  conversations: z.array(turnSchema).min(1, 'is empty'),
  chosen: turnSchema,
  rejected: turnSchema,
});
const trlSchema = z.object({ ...auditShape, prompt: chatSchema, chosen: chatSchema, rejected: chatSchema });

type OpenPair = Omit<PairRecord, 'id' | 'queryId'> & { id?: string | undefined; queryId?: string | undefined };

function parsePair(value: unknown, place: PairPlace): OpenPair {
  const keys = value !== null && typeof value === 'object' ? value : {};
  if ('conversations' in keys && 'prompt' in keys) {
    throw faultAt(place, 'the row has both `prompt` and `conversations`', LAYOUTS);
  }
  if ('conversations' in keys) {
    const { conversations, chosen, rejected, ...rest } = parseRow(value, conversationsSchema, place);
    const turns = (list: z.output<typeof turnSchema>[]) => list.map((one) => ({ role: one.from, content: one.value }));
    return checkRoles(
      { ...rest, prompt: turns(conversations), chosen: turns([chosen]), rejected: turns([rejected]) },
      place,
    );
  }
  if ('prompt' in keys && typeof keys.prompt === 'string') {
    throw faultAt(place, 'the pair is in plain text, not a conversation', LAYOUTS);
  }
  return checkRoles(parseRow(value, trlSchema, place), place);
}

const LAYOUTS = {
  fix: 'Write {"prompt": [{"role": "user", "content": ...}], "chosen": [{"role": "assistant", "content": ...}], "rejected": [...]}, or the published conversations/chosen/rejected.',
};

function parseRow<T>(value: unknown, schema: z.ZodType<T>, place: PairPlace): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw faultAt(place, describeIssues(parsed.error), LAYOUTS);
}

type LooseMessages = { role: string; content: string }[];
type LoosePair = Omit<OpenPair, 'prompt' | 'chosen' | 'rejected'> &
  Record<'prompt' | 'chosen' | 'rejected', LooseMessages>;

function checkRoles(pair: LoosePair, place: PairPlace): OpenPair {
  const [prompt, chosen, rejected] = [pair.prompt, pair.chosen, pair.rejected].map((side) => knownRoles(side, place));
  if (prompt!.at(-1)!.role === 'assistant') {
    throw faultAt(place, 'the prompt ends with the assistant', {
      id: pair.id,
      fix: "Let the prompt end with the user's message; what the assistant says is `chosen` and `rejected`.",
    });
  }
  for (const [name, side] of Object.entries({ chosen: chosen!, rejected: rejected! })) {
    if (side.length === 1 && side[0]!.role === 'assistant') continue;
    const found = side.map(({ role }) => role).join(', ');
    throw faultAt(place, `${name} holds messages of ${found}, and should be one message of the assistant`, {
      id: pair.id,
      fix: 'Move everything before the last message of the assistant into `prompt`.',
    });
  }
  return { ...pair, prompt: prompt!, chosen: chosen!, rejected: rejected! };
}

function knownRoles(side: LooseMessages, place: PairPlace): Message[] {
  return side.map(({ role, content }) => {
    if (Object.hasOwn(ROLES, role)) return { role: ROLES[role]!, content };
    throw faultAt(place, `${JSON.stringify(role)} is not a role`, {
      fix: 'Use system, user and assistant (in the conversations layout: system, human and gpt).',
    });
  });
}

/** Assigns ids to the rows of a file that has none, and refuses ids that cannot be right. */
class PairIds {
  readonly #stem: string;
  readonly #seen = new IdSet();
  #given: boolean | undefined;

  constructor(file: string) {
    this.#stem = basename(file).replace(/(\.jsonl?)?(\.gz)?$/, '');
  }

  complete(pair: OpenPair, place: PairPlace): PairRecord {
    this.#given ??= pair.id !== undefined;
    if (this.#given !== (pair.id !== undefined)) {
      throw faultAt(place, 'some pairs of the file have an id and others do not', {
        id: pair.id,
        fix: 'Give every pair a unique id, or remove all ids.',
      });
    }
    const id = pair.id ?? `${this.#stem}-${place.number}`;
    if (!this.#seen.add(id)) {
      throw faultAt(place, "this pair's id occurs earlier in the file", {
        id,
        fix: 'Remove one of the two, or give one a different id.',
      });
    }
    const queryId = pair.queryId ?? id;
    for (const candidate of [pair.chosenId, pair.rejectedId]) {
      if (pair.queryId === undefined || candidate === undefined || candidate.startsWith(`${queryId}#`)) continue;
      throw faultAt(place, `candidate ${JSON.stringify(candidate)} is not one of query ${JSON.stringify(queryId)}`, {
        id: pair.id,
        fix: 'Build the pairs again: ids of different queries are mixed up.',
      });
    }
    return { ...pair, id, queryId };
  }
}
