import { z } from 'zod';
import { idSchema, LineIndex, LineReader, parseJsonLine, readJsonl } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { querySchema } from '../beir/corpus.ts';

/** What the lines of all layouts say: a query, and one or more texts for it. */
interface LineOfTexts {
  query: string;
  /** Text of the query, if the line says it. */
  asked?: string | undefined;
  /** Place among the query's texts, if the line says so. */
  sample: number | undefined;
  texts: string[];
}

const sample = z.number().int().nonnegative();
const expansionLine = z
  .object({ query: idSchema, sample: sample.optional(), text: z.string() })
  .transform(({ query, sample, text }): LineOfTexts => ({ query, sample, texts: [text] }));
const candidateLine = z
  .object({ queryId: idSchema, index: sample.optional(), text: z.string() })
  .transform(({ queryId, index, text }): LineOfTexts => ({ query: queryId, sample: index, texts: [text] }));
const queryLine = querySchema.transform(({ id, text, expansions = [] }): LineOfTexts => {
  return { query: id, asked: text, sample: undefined, texts: expansions };
});

/** A line of `expansions.jsonl`, of `candidates.jsonl`, or of queries in BEIR's layout. */
const anyLine = z.looseObject({}).transform((row, context): LineOfTexts => {
  const schema = '_id' in row ? queryLine : 'queryId' in row ? candidateLine : expansionLine;
  const parsed = schema.safeParse(row);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});

/**
 * A file of expansions that is read by query, in any order: `expansions.jsonl`, `candidates.jsonl`, or queries in BEIR's layout
 * (`text: [query, e1, ..., eN]`). Memory holds only the positions of the lines.
 */
export class ExpansionFile {
  readonly #file: string;
  readonly #index: LineIndex;
  readonly #reader: LineReader;

  private constructor(file: string, index: LineIndex) {
    this.#file = file;
    this.#index = index;
    this.#reader = new LineReader(file);
  }

  /** Reads the file once. @throws DataError if a line is broken, if a sample occurs twice, or if the file is compressed */
  static async open(file: string, signal?: AbortSignal): Promise<ExpansionFile> {
    const index = new LineIndex();
    for await (const { value, start } of readJsonl(file, anyLine, signal)) {
      if (start === undefined) {
        throw new DataError('is compressed, but its lines are read in any order', { file, fix: 'Unpack it (gunzip).' });
      }
      index.add(value.query, start);
    }
    return new ExpansionFile(file, index);
  }

  /**
   * Returns the texts of a query, by sample; none if the file lacks the query.
   * @param asked the query's text, if it is known
   * @throws DataError if a line says that the query has another text; ResourceError
   */
  async textsOf(query: string, asked = ''): Promise<string[]> {
    const lines: LineOfTexts[] = [];
    for (const start of this.#index.startsOf(query)) {
      const line = parseJsonLine(await this.#reader.read(start), anyLine, this.#file, 0);
      if (line.query === query) lines.push(line);
    }
    this.#refuseOther(query, asked, lines);
    this.#refuseDoubled(query, lines);
    lines.sort((a, b) => (a.sample ?? 0) - (b.sample ?? 0));
    return lines.flatMap(({ texts }) => texts);
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #refuseOther(query: string, asked: string, lines: readonly LineOfTexts[]): void {
    const other = lines.find((line) => asked.trim() !== '' && line.asked !== undefined && !isEqual(line.asked, asked));
    if (other === undefined) return;
    throw new DataError(`the expansions belong to another query: ${quoted(other.asked!)}, not ${quoted(asked)}`, {
      ...{ file: this.#file, id: query },
      fix: 'Use expansions of the same data set: equal ids do not make equal queries.',
    });
  }

  #refuseDoubled(query: string, lines: readonly LineOfTexts[]): void {
    const samples = lines.map(({ sample }) => sample).filter((sample) => sample !== undefined);
    if (new Set(samples).size === samples.length) return;
    throw new DataError('a sample of the query occurs twice', {
      ...{ file: this.#file, id: query },
      fix: 'Remove one of the two lines.',
    });
  }
}

/** Whether texts are equal but for white space. */
function isEqual(...texts: [string, string]): boolean {
  const [one, other] = texts.map((text) => text.trim().replace(/\s+/g, ' '));
  return one === other;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
