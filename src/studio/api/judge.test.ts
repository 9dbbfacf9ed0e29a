import { cp, mkdir, open as openFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { JudgingPlace, newSession, OpenJudging } from '../../../test/support/judging-studio.ts';
import { written } from '../../../test/support/served-letters.ts';
import { ModelError } from '../../system/index.ts';
import type {
  EntryKept,
  FoundDocuments,
  JudgeAgreement,
  JudgeFigures,
  JudgeOverview,
  JudgeQuery,
  JudgeSession,
  Undone,
} from '../shapes/judge.ts';
import { Studio } from '../studio.ts';

let place: JudgingPlace;
let open: OpenJudging;

beforeAll(async () => {
  place = await JudgingPlace.open();
});
afterAll(() => place.close());
beforeEach(() => {
  open = place.studio();
});
afterEach(async () => {
  await open.close();
  await rm(place.runs, { recursive: true, force: true });
});

/** Begins a session and waits until its queries are searched. */
async function begin(more: object = {}): Promise<JudgeSession> {
  const { status, text } = await open.ask('/sessions', newSession(more));
  expect(`${status} ${status === 201 ? '' : text}`).toBe('201 ');
  const session = await open.until<JudgeSession>('/sessions/first?judge=ann', ({ preparing }) => !preparing);
  expect(session.fault).toBeUndefined();
  return session;
}

const queryOf = async (row: number, judge = 'ann', of = open) =>
  (await of.ask<JudgeQuery>(`/sessions/first/queries/${row}?judge=${judge}`)).body;
const grade = (document: string, value: number, more: object = {}, of = open) =>
  of.ask<EntryKept>('/sessions/first/entries', { judge: 'ann', row: 0, document, grade: value, ...more });
const gradesOf = async (row: number, judge = 'ann', of = open) =>
  Object.fromEntries((await queryOf(row, judge, of)).documents.map((one) => [one.id, one.grade]));

describe('a new session', () => {
  it('pools what all arms found, once each, and tells nobody who found it', async () => {
    const session = await begin();
    expect(session).toMatchObject({ corpus: 'letters', prepared: 3, preparing: false, judges: [], version: 0 });
    expect(session.queries.map(({ id, isReady }) => [id, isReady])).toEqual([
      ['q0', true],
      ['q1', true],
      ['q2', true],
    ]);
    const pool = JSON.parse(await readFile(join(place.runs, 'judging/first/pool/0.json'), 'utf8'));
    expect(pool.arms.map((arm: { retriever: string; isExpanded: boolean }) => [arm.retriever, arm.isExpanded])).toEqual(
      ['dense', 'bm25', 'rrf'].flatMap((name) => [
        [name, false],
        [name, true],
      ]),
    );
    const found = new Set(pool.arms.flatMap((arm: { hits: { id: string }[] }) => arm.hits.map(({ id }) => id)));
    const { documents } = await queryOf(0);
    expect(documents.map(({ id }) => id).sort()).toEqual([...found].sort());
    for (const document of documents) {
      expect(Object.keys(document).sort()).toEqual(['id', 'isCut', 'isFound', 'isSkipped', 'note', 'text']);
    }
    const [raw, expanded] = pool.arms;
    expect(raw.hits.map(({ id }: { id: string }) => id)).not.toEqual(expanded.hits.map(({ id }: { id: string }) => id));
    expect(pool.expansion).toMatchObject({ state: 'generated', texts: ['bbbb bbbb'] });
  });

  it('shuffles the results, for each judge in another order, and always in the same', async () => {
    await begin({ depth: 8, retrievers: ['dense'] });
    const order = async (row: number, judge: string) =>
      (await queryOf(row, judge)).documents.map(({ id }) => id).join();
    expect(await order(0, 'ann')).toBe(await order(0, 'ann'));
    const orders = new Set([
      await order(0, 'ann'),
      await order(0, 'bob'),
      await order(1, 'ann'),
      await order(2, 'ann'),
    ]);
    expect(orders.size).toBeGreaterThan(2);
  });

  it('takes queries as lines, with or without ids', async () => {
    const text = 'aa typed\n\nmine\taaa tabbed\r\n';
    const { queries } = await begin({ queries: { from: 'text', text }, expand: false, retrievers: ['bm25'] });
    expect(queries.map(({ id, text: query }) => [id, query])).toEqual([
      ['own-1', 'aa typed'],
      ['mine', 'aaa tabbed'],
    ]);
    expect((await readFile(join(place.runs, 'judging/first/pool/0.json'), 'utf8')).includes('expansion')).toBe(false);
  });

  it.each([
    ['a name that leaves the folder', { name: '../first' }, 'name: '],
    ['a hidden name', { name: '.first' }, 'name: '],
    ['an empty list of queries', { queries: { from: 'text', text: ' \n' } }, 'there is no query'],
    [
      'an id twice',
      { queries: { from: 'text', text: 'a\tx\na\ty' } },
      'line 2 of the queries: the id "a" occurs twice',
    ],
    [
      'an id with a blank',
      { queries: { from: 'text', text: 'a b\tx' } },
      'line 1 of the queries: its id cannot be used',
    ],
    ['too many queries', { queries: { from: 'text', text: 'a\n'.repeat(1001) } }, 'there are more than 1000'],
    ['no search', { retrievers: [] }, 'choose at least one search'],
    ['an unknown corpus', { corpus: 'none' }, 'there is no corpus'],
  ])('refuses %s', async (_what, more, message) => {
    const { status, text } = await open.ask('/sessions', newSession(more));
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(JSON.parse(text).error.message).toContain(message);
    expect((await open.ask<JudgeOverview>('/')).body.sessions).toEqual([]);
  });

  it('is listed, and its name is taken once, also by two tabs at once', async () => {
    const both = await Promise.all([open.ask('/sessions', newSession()), open.ask('/sessions', newSession())]);
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409]);
    const { body } = await open.ask<JudgeOverview>('/');
    expect(body.corpora).toEqual([{ name: 'letters', hasQueries: true }]);
    expect(body.sessions).toMatchObject([{ name: 'first', corpus: 'letters', queries: 3 }]);
    await open.until<JudgeSession>('/sessions/first', ({ preparing }) => !preparing);
  });

  it.each(['nowhere', '.hidden', '..%2fjudging', 'a%2fb'])('is not there under the name %s', async (name) => {
    await mkdir(join(place.runs, 'judging'), { recursive: true });
    expect((await open.ask(`/sessions/${name}`)).status).toBe(404);
  });
});

describe('a preparation that was stopped', () => {
  it('is told with its fault, and continued where it ended', async () => {
    let isDown = false;
    const other = await JudgingPlace.open(() => (isDown ? { status: 200, body: 'no answer' } : written('bbbb bbbb')));
    const studio = other.studio();
    try {
      await studio.ask('/sessions', newSession());
      await studio.until<JudgeSession>('/sessions/first', ({ preparing }) => !preparing);
      await studio.close();
      // As if it had been killed before the third query, and the first were there.
      await rm(join(other.runs, 'judging/first/pool/2.json'));
      isDown = true;
      const again = other.studio();
      const before = await again.ask<JudgeSession>('/sessions/first');
      expect(before.body).toMatchObject({ prepared: 2, preparing: false });
      expect(before.body.queries.map(({ isReady }) => isReady)).toEqual([true, true, false]);
      expect((await again.ask('/sessions/first/queries/2?judge=ann')).status).toBe(409);
      expect((await again.ask('/sessions/first/queries/9?judge=ann')).status).toBe(404);
      const calls = other.chat.calls.length;
      await again.ask('/sessions/first/prepare', {});
      const { prepared } = await again.until<JudgeSession>('/sessions/first', ({ preparing }) => !preparing);
      expect(prepared).toBe(3);
      // Only the missing query was asked for, and an LLM that fails leaves it raw.
      expect(other.chat.calls.length).toBe(calls + 1);
      const pool = JSON.parse(await readFile(join(other.runs, 'judging/first/pool/2.json'), 'utf8'));
      expect(pool.expansion).toMatchObject({ state: 'fallback', texts: [] });
      await again.close();
    } finally {
      await other.close();
    }
  });

  it('says why, if a model cannot be opened', async () => {
    const { studio } = open;
    studio.options.openGenerator = () => Promise.reject(new ModelError('the model is broken', { fix: 'Get another.' }));
    const broken = new OpenJudging(new Studio(studio.options));
    await broken.ask('/sessions', newSession());
    const { fault } = await broken.until<JudgeSession>('/sessions/first', ({ preparing }) => !preparing);
    expect(fault).toEqual({ message: 'the model is broken', fix: 'Get another.' });
    await broken.close();
  });
});

describe('judging', () => {
  it('keeps grades, notes and skips, and counts them', async () => {
    await begin();
    const [first, second, third] = (await queryOf(0)).documents.map(({ id }) => id);
    await grade(first!, 2);
    await grade(first!, 3);
    await open.ask('/sessions/first/entries', { judge: 'ann', row: 0, document: second, note: 'near "miss"' });
    const { body } = await open.ask<EntryKept>('/sessions/first/entries', {
      ...{ judge: 'ann', row: 0, document: third, skip: true },
    });
    expect(body).toMatchObject({ version: 4, progress: { judged: 1, skipped: 1 } });
    const { documents } = await queryOf(0);
    expect(documents[0]).toMatchObject({ grade: 3, isSkipped: false, note: '' });
    expect(documents[1]).toMatchObject({ isSkipped: false, note: 'near "miss"' });
    expect(documents[1]).not.toHaveProperty('grade');
    expect(documents[2]).toMatchObject({ isSkipped: true });
    // Another judge sees nothing of it.
    expect(Object.values(await gradesOf(0, 'bob')).every((one) => one === undefined)).toBe(true);
  });

  it('refuses what cannot be kept, and keeps nothing of it', async () => {
    await begin();
    const [first] = (await queryOf(0)).documents;
    const refused = {
      'a grade above 3': { grade: 4 },
      'half a grade': { grade: 1.5 },
      'a grade as a text': { grade: '2' },
      'nothing said': { grade: undefined },
      'two things at once': { note: 'x' },
      'no judge': { judge: '  ' },
      'a judge with hidden characters': { judge: 'a\u202eb' },
      'a negative query': { row: -1 },
      'a note without end': { grade: undefined, note: 'x'.repeat(4001) },
    };
    for (const [what, more] of Object.entries(refused)) {
      expect(`${what}: ${(await grade(first!.id, 2, more)).status}`).toBe(`${what}: 400`);
    }
    expect((await open.ask<JudgeSession>('/sessions/first')).body.version).toBe(0);
  });

  it('refuses a document that is not among the results', async () => {
    await begin();
    expect((await grade('__proto__', 2)).status).toBe(404);
    expect((await grade('d0', 2, { row: 77 })).status).toBe(404);
  });

  it('takes back step by step, and the undo is an entry, too', async () => {
    await begin();
    const [first, second] = (await queryOf(0)).documents.map(({ id }) => id);
    await grade(first!, 1);
    await grade(first!, 2);
    await grade(second!, 3);
    const undo = async (judge = 'ann') => (await open.ask<Undone>('/sessions/first/undo', { judge })).body;
    expect((await undo()).undone).toEqual({ row: 0, document: second });
    expect((await undo()).undone).toEqual({ row: 0, document: first });
    expect(await gradesOf(0)).toMatchObject({ [first!]: 1, [second!]: undefined });
    expect((await undo('bob')).undone).toBeUndefined();
    expect((await undo()).undone).toEqual({ row: 0, document: first });
    expect((await undo()).undone).toBeUndefined();
    const lines = (await readFile(join(place.runs, 'judging/first/judgements.jsonl'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).kind)).toEqual(['grade', 'grade', 'grade', 'undo', 'undo', 'undo']);
  });

  it('takes back one statement each, when two tabs undo at once', async () => {
    await begin();
    const ids = (await queryOf(0)).documents.slice(0, 3).map(({ id }) => id);
    for (const id of ids) await grade(id, 1);
    const undone = await Promise.all(
      [1, 2].map(async () => (await open.ask<Undone>('/sessions/first/undo', { judge: 'ann' })).body.undone?.document),
    );
    expect(undone.sort()).toEqual(ids.slice(1).sort());
    expect(Object.values(await gradesOf(0)).filter((one) => one === 1)).toHaveLength(1);
  });

  it('flushes each judgement to the disk before it is answered', async () => {
    await begin();
    const ids = (await queryOf(0)).documents.map(({ id }) => id);
    const probe = await openFile(join(place.runs, 'judging/first/session.json'));
    const synced = vi.spyOn(Object.getPrototypeOf(probe) as typeof probe, 'sync');
    await probe.close();
    for (const [at, id] of ids.entries()) {
      await grade(id, 1);
      expect(synced).toHaveBeenCalledTimes(at + 1);
    }
    synced.mockRestore();
  });

  it('loses nothing that was answered, wherever it is killed', async () => {
    await begin();
    const ids = (await queryOf(0)).documents.map(({ id }) => id);
    for (const [at, id] of ids.entries()) {
      await grade(id, at % 4);
      // What the disk holds when the answer comes, as kill -9 would leave it; the next line was cut in the middle.
      const left = join(place.folder, `killed-${at}`);
      await cp(place.runs, left, { recursive: true, filter: (path) => !path.endsWith('.lock') });
      const journal = join(left, 'judging/first/judgements.jsonl');
      await writeFile(journal, `${await readFile(journal, 'utf8')}{"kind":"grade","at":"20`);
      const again = place.studio(left);
      const kept = await gradesOf(0, 'ann', again);
      expect(Object.values(kept).filter((one) => one !== undefined)).toHaveLength(at + 1);
      expect(kept[id]).toBe(at % 4);
      expect((await grade(id, 3, {}, again)).status).toBe(200);
      await again.close();
      await rm(left, { recursive: true });
    }
  });

  it('is not open in two studios at once', async () => {
    await begin();
    const second = place.studio();
    const { status, text } = await second.ask('/sessions/first');
    expect(status).toBe(503);
    expect(JSON.parse(text).error.message).toContain('another command writes this file');
    await second.close();
  });

  it('keeps every entry of two judges in several tabs at once', async () => {
    await begin();
    const rows = [0, 1, 2];
    const wanted = new Map<string, number>();
    const calls: Promise<{ status: number }>[] = [];
    for (const row of rows) {
      for (const { id } of (await queryOf(row)).documents) {
        for (const judge of ['ann', 'bob']) {
          const value = (id.charCodeAt(1) + row + judge.length + judge.charCodeAt(0)) % 4;
          wanted.set(`${judge} ${row} ${id}`, value);
          calls.push(grade(id, value, { judge, row }));
        }
      }
    }
    expect(new Set((await Promise.all(calls)).map(({ status }) => status))).toEqual(new Set([200]));
    await open.close();
    open = place.studio();
    for (const row of rows) {
      for (const judge of ['ann', 'bob']) {
        for (const [id, value] of Object.entries(await gradesOf(row, judge))) {
          expect(value).toBe(wanted.get(`${judge} ${row} ${id}`));
        }
      }
    }
    const { judges, version } = (await open.ask<JudgeSession>('/sessions/first')).body;
    expect(version).toBe(wanted.size);
    expect(judges).toEqual([
      { name: 'ann', judged: wanted.size / 2 },
      { name: 'bob', judged: wanted.size / 2 },
    ]);
  });
});

describe('the finder', () => {
  it('finds by words what no arm found, and lets it be judged, for all judges and for good', async () => {
    await begin({ retrievers: ['dense'], depth: 1 });
    const { body } = await open.ask<FoundDocuments>('/sessions/first/find?row=0&words=word');
    expect(body.documents.map(({ id }) => id).sort()).toEqual(['d5', 'd7']);
    expect(body.documents.every(({ isPooled }) => !isPooled)).toBe(true);
    expect((await grade('d7', 3)).status).toBe(404);
    const found = { judge: 'ann', row: 0, document: 'd7' };
    await Promise.all([open.ask('/sessions/first/found', found), open.ask('/sessions/first/found', found)]);
    expect((await grade('d7', 3)).status).toBe(200);
    await open.close();
    open = place.studio();
    const { documents } = await queryOf(0, 'bob');
    expect(documents.at(-1)).toMatchObject({ id: 'd7', text: 'word', isFound: true });
    expect(documents.filter(({ id }) => id === 'd7')).toHaveLength(1);
    const { queries } = (await open.ask<JudgeSession>('/sessions/first?judge=ann')).body;
    expect(queries[0]).toMatchObject({ documents: documents.length, judged: 1 });
  });

  it('refuses a document that the corpus does not hold', async () => {
    await begin();
    const { status } = await open.ask('/sessions/first/found', { judge: 'ann', row: 0, document: '__proto__' });
    expect(status).toBe(400);
  });
});

describe('the figures', () => {
  const figures = async (judge = 'ann') =>
    (await open.ask<JudgeFigures>(`/sessions/first/figures?judge=${judge}`)).body;

  it('are those of the grades: a perfect arm has nDCG 1, and a result without a grade counts as not relevant', async () => {
    await begin({ retrievers: ['dense'], depth: 2, queries: { from: 'text', text: 'aa query' } });
    expect((await figures()).queries).toBe(0);
    const pool = JSON.parse(await readFile(join(place.runs, 'judging/first/pool/0.json'), 'utf8'));
    const [raw, expanded] = pool.arms.map((arm: { hits: { id: string }[] }) => arm.hits.map(({ id }) => id));
    expect(expanded[0]).not.toBe(raw[0]);
    await grade(expanded[0], 3);
    const after = await figures();
    expect(after).toMatchObject({ measure: 'nDCG@2', queries: 1 });
    const [own, others] = [
      after.arms.find(({ isExpanded }) => isExpanded)!,
      after.arms.find((one) => !one.isExpanded)!,
    ];
    expect(own).toMatchObject({ name: 'dense, expanded', mean: 1, interval: [1, 1], judged: 0.5 });
    // 1 / log2(3) if the raw arm has it second, else 0.
    expect(others.mean).toBeCloseTo(raw[1] === expanded[0] ? 1 / Math.log2(3) : 0, 12);
    expect(after.pairs[0]).toMatchObject({ helped: 1, hurt: 0, unchanged: 0, decision: 'too few queries' });
    expect(after.pairs[0]!.sentence).toMatch(
      /^Expansion of dense search helps 1 and hurts 0 of 1 query: nDCG@2 \+[^[\]]*\u00a0ms at p95: too few queries to tell \(at least 20, better 50\)\.$/,
    );
    expect(after.notes[0]).toContain('count as not relevant');
  });

  it('measures time by the expander, and says nothing of it without expansions', async () => {
    await begin({ retrievers: ['bm25'] });
    const { latency } = await figures();
    expect(latency!.queries).toBe(3);
    expect(latency!.p95).toBeGreaterThanOrEqual(latency!.median);
    expect(latency!.median).toBeGreaterThan(0);
  });
});

describe('two judges', () => {
  it('agree as far as kappa says, and the widest disagreement comes first', async () => {
    await begin({ depth: 8, retrievers: ['dense'] });
    const ids = (await queryOf(0)).documents.map(({ id }) => id).sort();
    const [ann, bob] = [
      [0, 0, 1, 2, 3, 3, 0, 1],
      [0, 3, 1, 1, 3, 3, 0, 1],
    ];
    for (const [at, id] of ids.entries()) {
      await grade(id, ann[at]!);
      await grade(id, bob[at]!, { judge: 'bob' });
    }
    const [pair] = (await open.ask<JudgeAgreement>('/sessions/first/agreement')).body.pairs;
    expect(pair).toMatchObject({ judges: ['ann', 'bob'], items: 8, equal: 0.75 });
    // By hand: chance agreement (3*2 + 2*3 + 1*0 + 2*3) / 64 = 18/64; (48/64 - 18/64) / (46/64) = 30/46.
    expect(pair!.kappa).toBeCloseTo(30 / 46, 12);
    expect(pair!.disagreements.map(({ document, grades }) => [document, ...grades])).toEqual([
      [ids[1], 0, 3],
      [ids[3], 2, 1],
    ]);
  });
});

describe('downloads', () => {
  const get = (file: string, more = '') => open.ask<unknown>(`/sessions/first/download/${file}${more}`);

  it('are judgements in the forms of TREC and BEIR: of one judge, or the mean of all', async () => {
    await begin({ depth: 8, retrievers: ['dense'] });
    await grade('d0', 1);
    await grade('d0', 2, { judge: 'bob' });
    await grade('d1', 0, { judge: 'bob' });
    expect((await get('qrels.trec', '?judge=ann')).text).toBe('q0 0 d0 1\n');
    const { text, headers } = await get('qrels.tsv');
    expect(text).toBe('query-id\tcorpus-id\tscore\nq0\td0\t2\nq0\td1\t0\n');
    expect(headers.get('content-disposition')).toBe('attachment; filename="first-qrels.tsv"');
  });

  it('are notes as CSV that cannot compute', async () => {
    await begin({ depth: 8, retrievers: ['dense'] });
    await open.ask('/sessions/first/entries', { judge: 'ann', row: 0, document: 'd0', note: '=1+1, "quoted"\nline' });
    expect((await get('notes.csv')).text).toBe(
      'judge,query_id,query,document_id,grade,note\r\nann,q0,aa query,d0,,"\'=1+1, ""quoted""\nline"\r\n',
    );
  });

  it('are nothing else', async () => {
    await begin();
    for (const file of ['session.json', '..%2fsession.json', 'toString']) expect((await get(file)).status).toBe(404);
  });
});
