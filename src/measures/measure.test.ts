import { describe, expect, it } from 'vitest';
import type { UsageError } from '../system/index.ts';
import { ALL_MEASURES, displayName, parseMeasure, parseQualityMeasure, trecName } from './measure.ts';

describe('names of measures', () => {
  it.each([
    ['nDCG@10', 'ndcg_cut_10'],
    ['nDCG', 'ndcg'],
    ['MAP@100', 'map_cut_100'],
    ['MAP', 'map'],
    ['Recall@100', 'recall_100'],
    ['P@5', 'P_5'],
    ['MRR@10', 'recip_rank_cut_10'],
    ['MRR', 'recip_rank'],
    ['Success@1', 'success_1'],
    ['R_cap@100', 'R_cap_100'],
    ['Hole@10', 'Hole_10'],
    ['Rprec', 'Rprec'],
    ['set_P', 'set_P'],
    ['num_rel_ret', 'num_rel_ret'],
  ])('%s is %s', (display, trec) => {
    expect(trecName(display)).toBe(trec);
    expect(displayName(trec)).toBe(display);
    expect(trecName(display.toLowerCase())).toBe(trec);
    expect(trecName(trec)).toBe(trec);
  });

  it('reads every name it lists', () => {
    expect(ALL_MEASURES.map(trecName)).toEqual(ALL_MEASURES);
    expect(new Set(ALL_MEASURES).size).toBe(ALL_MEASURES.length);
  });

  it('takes any cut-off', () => {
    expect(parseMeasure('ndcg_cut_7').cutoff).toBe(7);
  });

  it.each([
    ['nDGC@10', /there is no measure/],
    ['nDCG@0', /there is no measure/],
    ['', /there is no measure/],
    ['recall', /needs a cutoff/],
    ['ndcg_cut', /needs a cutoff/],
    ['bpref@10', /has no cutoff/],
  ])('refuses %j', (name, reason) => {
    expect(() => parseMeasure(name)).toThrow(reason);
  });

  it('of quality are those by which a search can be better, query by query', () => {
    for (const name of ['nDCG@10', 'map', 'P_5', 'Success@1']) {
      expect(parseQualityMeasure(name)).toEqual(parseMeasure(name));
    }
    for (const name of ['num_ret', 'num_rel_ret', 'Hole@10']) {
      expect(() => parseQualityMeasure(name)).toThrow(/cannot be used to compare searches/);
    }
    expect(() => parseQualityMeasure('quality')).toThrow(/there is no measure "quality"/);
  });

  it('are counts, or need the pool, as they declare', () => {
    expect(ALL_MEASURES.filter((name) => parseMeasure(name).needsPool).every((name) => /^hole/i.test(name))).toBe(true);
    expect(parseMeasure('Hole@3').needsPool).toBe(true);
    expect(parseMeasure('num_q').summed).toBe(true);
    expect(parseMeasure('nDCG@3')).toMatchObject({ summed: false, needsPool: false });
  });

  it('are all listed in the error for an unknown one, those that need a cut-off with one', () => {
    const fixOf = (name: string) => {
      try {
        parseMeasure(name);
      } catch (error) {
        return String((error as UsageError).fix);
      }
      return '';
    };
    expect(fixOf('quality')).toMatch(/\bnDCG@10, .*\bMRR@10\b/);
    expect(fixOf('quality')).toMatch(/\bRprec,/);
    expect(fixOf('Rprec@10')).toBe('Write Rprec.');
    expect(fixOf('P')).toBe('Write P@10 or P_10.');
  });
});
