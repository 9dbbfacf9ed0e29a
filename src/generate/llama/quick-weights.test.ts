import { describe, expect, it } from 'vitest';
import { wantsQuickCopy } from './quick-weights.ts';

const matrix = (dtype: string, rows: number) => ({ name: `${dtype}-${rows}`, dtype, shape: [rows, 64] });

describe('wantsQuickCopy', () => {
  it.each([
    ['mostly Q4_1', 'llama', [matrix('Q4_1', 90), matrix('Q6_K', 80), { name: 'n', dtype: 'F32', shape: [64] }], true],
    ['Q5_1 and Q4_1 together', 'qwen2', [matrix('Q5_1', 40), matrix('Q4_1', 30), matrix('Q6_K', 50)], true],
    ['mostly others', 'llama', [matrix('Q4_1', 70), matrix('Q6_K', 80)], false],
    ['full precision, which a copy would lose', 'llama', [matrix('F16', 100)], false],
    ['another architecture', 'gemma3', [matrix('Q4_1', 90)], false],
  ])('wants a copy if most weights are of a slow type: %s', (_name, architecture, tensors, wanted) => {
    expect(wantsQuickCopy({ architecture, tensors })).toBe(wanted);
  });
});
