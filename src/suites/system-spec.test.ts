import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defaultRetrievalSettings } from '../retrieve/index.ts';
import { parseSystems } from './system-spec.ts';

const writerShape = {
  task: z.enum(['q2d', 'q2e']).default('q2d'),
  generator: z.array(z.string()).default(['small']),
  maxTokens: z.coerce.number().int().default(512),
  gpu: z.boolean().default(false),
  threads: z.number().optional(),
};
const options = {
  retrieval: defaultRetrievalSettings({ depth: 100 }),
  writer: { task: 'q2d', generator: ['small'], maxTokens: 512, gpu: false },
  writerShape,
};

describe('parseSystems', () => {
  it('compares BM25, raw and expanded dense search if nothing is said', () => {
    const systems = parseSystems([], undefined, options);
    expect(systems.map(({ name, retriever, writer }) => [name, retriever, writer?.task])).toEqual([
      ['bm25', 'bm25', undefined],
      ['raw', 'dense', undefined],
      ['expanded', 'dense', 'q2d'],
    ]);
    expect(systems[0]!.retrieval.depth).toBe(100);
  });

  it('reads options of search and language model with their types, over the shared ones', () => {
    const [system] = parseSystems(
      ['e=dense,alpha=0.3,task=q2e,max-tokens=64,generator=a,generator=b,gpu'],
      undefined,
      options,
    );
    expect(system!.retrieval).toMatchObject({ depth: 100 });
    expect(system!.combination).toEqual({ alpha: 0.3 });
    expect(system!.writer).toEqual({ task: 'q2e', maxTokens: 64, generator: ['a', 'b'], gpu: true });
    expect(system!.description).toBe('dense, alpha 0.3, task q2e, max tokens 64, generator a and b, gpu');
  });

  it('reads the same from the mapping of a file, and prefers the command line', () => {
    const ofFile = { mine: { retriever: 'bm25', k1: 1.2, expansions: 'e', 'query-repeats': 3 } };
    expect(parseSystems([], ofFile, options)[0]).toMatchObject({
      name: 'mine',
      retrieval: { k1: 1.2 },
      combination: { queryRepeats: 3 },
    });
    expect(parseSystems(['other=rrf'], ofFile, options).map(({ name }) => name)).toEqual(['other']);
  });

  it('passes on only what its schemas name, however many options the command has', () => {
    const command = {
      ...options,
      retrieval: { ...options.retrieval, out: 'x' },
      writer: { ...options.writer, out: 'x' },
    };
    const [system] = parseSystems(['x=dense,task=q2e'], undefined, command);
    expect([system!.retrieval, system!.writer].filter((one) => 'out' in one!)).toEqual([]);
  });

  it('writes nothing if a file of expansions is named, or only shared options are set', () => {
    expect(parseSystems(['r=bm25,expansions=x/{set}.jsonl'], undefined, options)[0]).toMatchObject({
      writer: undefined,
      expansions: 'x/{set}.jsonl',
    });
    expect(parseSystems(['t=dense,threads=1'], undefined, options)[0]!.writer).toBeUndefined();
  });

  it.each([
    ['x', 'is not NAME=RETRIEVER'],
    ['x=sparse', 'system x: retriever'],
    ['x=dense,alpha=2', 'system x: alpha'],
    ['x=dense,alpha=much', 'system x: alpha'],
    ['x=dense,alfa=1', 'there is no option alfa'],
    ['x=dense,task=q2d,expansions=f', 'task would have no effect'],
    ['x=dense,as-is', 'as-is needs expansions=FILE'],
    ['x=dense,gate=g.json', 'gate decides on expansions, and there are none'],
    ['x=dense,gate=g.json,as-is,expansions=f', 'cannot be combined'],
    ['a/b=dense', 'is not a name'],
    ['constructor=dense,toString=1', 'there is no option to-string'],
  ])('refuses %s', (text, message) => {
    expect(() => parseSystems([text], undefined, options)).toThrow(message);
  });

  it.each([
    ['x=bm25,expansions=f,alpha=0.3', 'alpha has no effect with bm25'],
    ['x=bm25,encoder=a', 'encoder has no effect with bm25'],
    ['x=bm25,fusion=minmax', 'fusion has no effect with bm25'],
    ['x=bm25,index=hnsw', 'index has no effect with bm25'],
    ['x=dense,k1=2', 'k1 has no effect with dense'],
    ['x=dense,fields=multifield', 'fields has no effect with dense'],
    ['x=dense,rrf-k=5', 'rrf-k has no effect with dense'],
    ['x=dense,task=q2d,query-repeats=3', 'query-repeats has no effect with dense'],
    ['x=rrf,fusion=minmax,rrf-k=5', 'rrf-k has no effect with fusion minmax'],
    ['x=dense,alpha=0.3', 'alpha has no effect without expansions'],
    ['x=bm25,query-repeats=3', 'query-repeats has no effect without expansions'],
    ['x=dense,expansions=f,as-is,alpha=1', 'alpha has no effect with as-is'],
    ['x=dense,expansions=f,gate=g,alpha=1', 'alpha has no effect with a gate'],
    ['x=dense,hnsw-ef=9', 'hnsw-ef has no effect with an exact index'],
    ['x=dense,recall-sample=9', 'recall-sample has no effect with an exact search'],
  ])('refuses %s, and names the options that have an effect', (text, message) => {
    const fault = (): unknown => {
      try {
        return parseSystems([text], undefined, options);
      } catch (error) {
        return error;
      }
    };
    const { message: told, fix } = fault() as { message: string; fix: string };
    expect(told).toContain(message);
    const [, idle] = /: (\S+) has/.exec(told)!;
    const named = /effect here: (.*)\.$/.exec(fix)![1]!.split(', ');
    expect(named).toEqual(expect.arrayContaining(['depth', 'threads']));
    expect(named).not.toContain(idle);
  });

  it.each([
    'x=rrf,k1=1,fields=multifield,fusion-weight=0.3,rrf-k=5,expansions=f,alpha=0.2,query-repeats=2',
    'x=dense,index=hnsw,hnsw-ef=9,recall-sample=9',
    'x=dense,vectors=int8,recall-sample=9',
    'x=dense,expansions=f,gate=g,k1=1',
    'x=bm25,feedback=rm3,feedback-terms=5',
  ])('accepts %s', (text) => {
    expect(() => parseSystems([text], undefined, options)).not.toThrow();
  });

  it('refuses two systems of one name, and a system of a file without a retriever', () => {
    expect(() => parseSystems(['x=dense', 'x=bm25'], undefined, options)).toThrow('two systems are named x');
    expect(() => parseSystems([], { y: { alpha: 0.2 } }, options)).toThrow('system y: no retriever');
  });
});
