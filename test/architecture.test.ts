import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/** The floors of `src/` from the ground up; a folder imports from floors below its own, and from those only by their face. */
const FLOORS = [
  ['system'],
  ['files'],
  ['measures', 'models', 'servers'],
  ['nn', 'data'],
  ['search', 'embed', 'generate'],
  ['train', 'distribute', 'segments'],
  ['retrieve'],
  ['strategies'],
  ['gate'],
  ['evaluate', 'serve'],
  ['reward', 'adapters'],
  ['report'],
  ['pipeline'],
  ['suites'],
  ['studio'],
  ['cli'],
];

/**
 * The floors inside a room, from the ground up. Loose files of a room stand between them: they may use any sub-folder,
 * and be used by any, as long as no circle of files arises.
 */
const SUB_FLOORS: Record<string, string[][]> = {
  system: [['workers'], ['disk'], ['network']],
  models: [['formats'], ['tokenizer'], ['convert', 'store']],
  nn: [['operations'], ['architectures']],
  data: [['beir'], ['alignment', 'wordnet']],
  generate: [['llama', 'writing']],
  search: [
    ['bm25', 'dense'],
    ['engines', 'feedback', 'hnsw'],
  ],
  distribute: [['shards', 'queue']],
  train: [
    ['loop', 'python'],
    ['generator', 'retriever'],
    ['trl', 'sentence-transformers', 'exports'],
  ],
  serve: [['mcp'], ['http']],
  retrieve: [['mining']],
  strategies: [['methods', 'replay']],
  reward: [['rewards'], ['pairs']],
  report: [['plots'], ['sections'], ['pages']],
  pipeline: [['recipe'], ['run'], ['stages'], ['plan', 'demo', 'trial']],
  studio: [['shapes'], ['http', 'page', 'judging', 'recipes'], ['evaluations'], ['api']],
  cli: [['commands']],
};

const SOURCE = resolve('src');

interface Import {
  from: string;
  to: string;
  line: string;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const pattern = /(?:from|import)\s*\(?\s*'(\.[^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => ({
    from: relative(SOURCE, file),
    to: relative(SOURCE, resolve(dirname(file), match[1]!)),
    line: match[0],
  }));
}

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name))
  .map((name) => join(SOURCE, name));
/** Tests may reach for what `test/support` holds; the library's own face, `src/index.ts`, stands above all floors. */
const imports = files.flatMap(importsOf).filter(({ from, to }) => from.includes('/') && !to.startsWith('..'));
const findFloor = (floors: string[][], folder: string) => floors.findIndex((floor) => floor.includes(folder));
const floorOf = (path: string) => findFloor(FLOORS, path.split('/')[0]!);

describe('the house', () => {
  it('has a floor for every folder', () => {
    const folders = new Set(files.map((file) => relative(SOURCE, file)).filter((name) => name.includes('/')));
    expect([...folders].filter((name) => floorOf(name) < 0)).toEqual([]);
  });

  it('lets arrows point down only', () => {
    const upward = imports.filter(
      ({ from, to }) => from.split('/')[0] !== to.split('/')[0] && floorOf(to) >= floorOf(from),
    );
    expect(upward).toEqual([]);
  });

  it('lets arrows point down only among the sub-folders of a room', () => {
    const subFloor = (path: string) => {
      const [room, folder, ...rest] = path.split('/');
      return rest.length === 0 ? undefined : { room, folder, floor: findFloor(SUB_FLOORS[room!] ?? [], folder!) };
    };
    const crossings = imports
      .filter(({ from }) => !from.endsWith('.test.ts'))
      .map(({ from, to }) => ({ from, to, a: subFloor(from), b: subFloor(to) }))
      .filter(({ a, b }) => a && b && a.room === b.room && a.folder !== b.folder);
    const wrong = crossings.filter(({ a, b }) => a!.floor < 0 || b!.floor < 0 || b!.floor >= a!.floor);
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('enters another folder only by its face', () => {
    const sideDoors = imports.filter(({ from, to }) => {
      const [folder, ...rest] = to.split('/');
      return from.split('/')[0] !== folder && rest.join('/') !== 'index.ts';
    });
    expect(sideDoors).toEqual([]);
  });

  it('has no circles among its files', () => {
    const next = new Map<string, string[]>();
    for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
    const finished = new Set<string>();
    const circles: string[][] = [];
    const walk = (file: string, trail: string[]) => {
      if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file]);
      if (finished.has(file) || trail.includes(file)) return;
      for (const other of next.get(file) ?? []) walk(other, [...trail, file]);
      finished.add(file);
    };
    for (const file of next.keys()) walk(file, []);
    expect(circles).toEqual([]);
  });

  it('keeps one subject a file', () => {
    const long = files
      .filter((file) => !file.endsWith('.test.ts'))
      .map((file) => ({ file: relative(SOURCE, file), lines: readFileSync(file, 'utf8').split('\n').length }))
      .filter(({ lines }) => lines > 401);
    expect(long).toEqual([]);
  });
});
