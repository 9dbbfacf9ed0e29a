import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Generation, GenerationRequest, Generator } from '../generator.ts';
import { completeGroups, type GroupOptions } from './groups.ts';
import { readWrittenText, type WrittenText } from './written-text.ts';

const SAMPLING = { temperature: 1, topP: 1, topK: 0, maxTokens: 4 };

function textFor({ id }: GenerationRequest): Generation {
  return { id, text: `text ${id}`, finish: 'stop', promptTokens: 1, completionTokens: 1, milliseconds: 1 };
}

/** Withholds its first answer until it receives no more requests, however long it waits. */
class SlowAtFirst implements Generator {
  readonly id = 'slow';
  readonly fingerprint = 'slow';
  asked: string[] = [];

  async *generate(requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>) {
    const iterator = (requests as AsyncIterable<GenerationRequest>)[Symbol.asyncIterator]();
    let first: GenerationRequest | undefined;
    for (;;) {
      const next = iterator.next();
      if ((await Promise.race([next, sleep(200, 'starved')])) === 'starved' && first !== undefined) {
        yield textFor(first);
        first = undefined;
      }
      const { value, done } = await next;
      if (done) break;
      this.asked.push(value.id);
      if (this.asked.length === 1) first = value;
      else yield textFor(value);
    }
    if (first !== undefined) yield textFor(first);
  }

  async close() {}
}

function groups(count: number, known: (row: number) => ReadonlyMap<number, WrittenText> | undefined = () => undefined) {
  return Array.from({ length: count }, (_none, row) => ({
    item: row,
    requests: [0, 1].map((place) => ({ id: `${row}/${place}`, messages: [], sampling: SAMPLING, seed: 1 })),
    known: known(row),
  }));
}

async function complete(
  generator: Generator,
  given: ReturnType<typeof groups>,
  options: Partial<GroupOptions<number>>,
) {
  const log: string[] = [];
  const keep = async (row: number, place: number) => {
    log.push(`${row}/${place}`);
  };
  const finished: number[] = [];
  for await (const { item, texts } of completeGroups(generator, given, { ahead: 2, held: 5, keep, ...options })) {
    expect(texts.map(({ text }) => text)).toEqual([`text ${item}/0`, `text ${item}/1`]);
    log.push(`group ${item}`);
    finished.push(item);
  }
  return { log, finished };
}

describe('completeGroups', () => {
  it('keeps texts as they come while one is slow, and continues as far as the memory limit allows', async () => {
    const generator = new SlowAtFirst();
    const { log, finished } = await complete(generator, groups(8), {});
    expect(log.slice(0, 11)).toEqual([
      ...['0/1', '1/0', '1/1', '2/0', '2/1', '3/0', '3/1', '4/0', '4/1', '0/0'],
      'group 0',
    ]);
    expect(finished).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it.each([
    ['no text is requested again', undefined],
    ['a text may be requested again', () => undefined],
  ])('requests only what is not known if %s', async (_name, again) => {
    const known = (row: number, ...places: number[]) =>
      new Map(
        places.map((place) => [place, readWrittenText(textFor({ id: `${row}/${place}` } as GenerationRequest), 1)]),
      );
    const generator = new SlowAtFirst();
    const given = groups(8, (row) => (row === 7 ? known(row, 1) : row === 2 ? undefined : known(row, 0, 1)));
    const { finished } = await complete(generator, given, { again });
    expect(finished).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(generator.asked).toEqual(['2/0', '2/1', '7/0']);
    expect(
      (
        await complete(
          generator,
          groups(8, (row) => known(row, 0, 1)),
          { again },
        )
      ).finished,
    ).toHaveLength(8);
    expect(generator.asked).toHaveLength(3);
  });
});
