import { describe, expect, it } from 'vitest';
import { DataError } from '../../system/index.ts';
import { editRecipe } from './edit-recipe.ts';

const SMALL = 'name: small\ndata:\n  kind: wordnet\n  corpus: 100\ndpo: { beta: 0.3 }\n';
const edit = (...edits: [key: string, yaml: string | null][]) =>
  editRecipe(
    SMALL,
    'small.yaml',
    edits.map(([key, yaml]) => ({ key, yaml })),
  );

describe('the edits of a recipe', () => {
  it('set and remove keys, and give the recipe that their YAML says', () => {
    const { recipe, yaml, faults } = edit(['dpo.beta', null], ['dpo.epochs', '1'], ['candidates.temperatures', '[1]']);
    expect(faults).toEqual([]);
    expect(recipe!.dpo).toMatchObject({ beta: 0.1, epochs: 1 });
    expect(yaml).toContain('dpo:\n  epochs: 1\n');
    expect(recipe!.candidates.temperatures).toEqual([1]);
    expect(edit(['dpo.beta', null]).content).not.toHaveProperty('dpo');
  });

  it('drop the keys of another kind of data', () => {
    const { recipe } = edit(['data.kind', 'beir'], ['data.folder', '"a: [b"']);
    expect(recipe!.data).toMatchObject({ kind: 'beir', folder: 'a: [b' });
    expect(recipe!.data).not.toHaveProperty('corpus');
  });

  it('collect every fault with its key', () => {
    const { recipe, faults } = edit(['dpo.beta', '-1'], ['candidates.temperatures', '[1, 99]'], ['rounds', 'two']);
    expect(recipe).toBeUndefined();
    expect(faults.map(({ key }) => key)).toEqual(['candidates.temperatures.1', 'rounds', 'dpo.beta']);
    expect(edit(['data.kind', 'beir']).faults).toMatchObject([{ key: 'data.folder', message: 'is missing' }]);
  });

  it.each([
    ['dpo.bata', '1', 'there is no such key'],
    ['__proto__.x', '1', '__proto__: is not allowed as a key'],
    ['dpo.beta', '[', 'the value is not YAML'],
    ['prompt', '"\\0"', 'holds a NUL character'],
    ['dpo', '{ constructor: 1 }', 'is not allowed as a key'],
  ])('refuse %s = %s', (key, yaml, message) => {
    const { recipe, faults } = edit([key, yaml]);
    expect(recipe).toBeUndefined();
    expect(faults).toHaveLength(1);
    expect(`${faults[0]!.message}`).toContain(message);
  });

  it('need a mapping', () => {
    expect(() => editRecipe('[1]', 'list.yaml', [])).toThrow(DataError);
    expect(() => editRecipe('a: &a [*a]\nname: x', 'loop.yaml', [])).not.toThrow();
    expect(editRecipe('a: &a [*a]\nname: x', 'loop.yaml', []).faults[0]!.message).toContain('nested too deeply');
  });
});
