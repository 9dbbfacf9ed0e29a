import { describe, expect, it } from 'vitest';
import { defaultRetrievalSettings } from './settings.ts';

describe('the settings of a search', () => {
  it('have the published defaults', () => {
    expect(defaultRetrievalSettings()).toMatchObject({
      ...{ encoder: 'all-minilm-l6-v2', precision: 'f32', similarity: 'dot', alpha: 0.5, expansionRole: 'query' },
      ...{ k1: 0.9, b: 0.4, queryRepeats: 5, rrfK: 60, depth: 1000, keepSelf: false },
    });
  });

  it('use a given value instead of a default, and keep the others', () => {
    expect(defaultRetrievalSettings({ alpha: 0, depth: 10, pooling: 'cls', threads: 3 })).toEqual({
      ...defaultRetrievalSettings(),
      ...{ alpha: 0, depth: 10, pooling: 'cls', threads: 3 },
    });
  });

  it.each([
    ...[{ alpha: 0 }, { alpha: 1 }, { b: 0 }, { b: 1 }, { k1: 0 }, { rrfK: 0.5 }],
    ...[{ queryRepeats: 1 }, { depth: 1 }, { threads: 1 }, { maxLength: 1 }],
  ])('accept %o', (settings) => {
    expect(defaultRetrievalSettings(settings)).toMatchObject(settings);
  });

  it.each([
    ...[{ alpha: -0.01 }, { alpha: 1.01 }, { b: -0.01 }, { b: 1.01 }, { k1: -0.01 }, { rrfK: 0 }],
    ...[{ queryRepeats: 0 }, { queryRepeats: 1.5 }, { depth: 0 }, { depth: 1.5 }, { threads: 0 }, { threads: 1.5 }],
    ...[{ maxLength: 0 }, { maxLength: 1.5 }],
  ])('refuse %o', (settings) => {
    expect(() => defaultRetrievalSettings(settings)).toThrow();
  });
});
