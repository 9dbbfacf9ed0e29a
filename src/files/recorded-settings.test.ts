import { describe, expect, it } from 'vitest';
import { UsageError } from '../system/index.ts';
import { asRecorded, type OtherSettingsError, refuseOtherSettings } from './recorded-settings.ts';

const RECORDED = { seed: 1, sampling: { topP: 0.9, topK: 0 } };

describe('work that was begun before', () => {
  it('goes on with the same settings, in whatever order, and with what is undefined', () => {
    refuseOtherSettings('x', RECORDED, { sampling: { topK: 0, topP: 0.9 }, seed: 1, limit: undefined });
    expect(asRecorded({ a: undefined, b: [1] })).toEqual({ b: [1] });
  });

  it('is refused with others, and the error says which, where and what to do', () => {
    const present = { seed: 2, sampling: { topP: 0.9 }, limit: 5 };
    let refusal: unknown;
    try {
      refuseOtherSettings('out.jsonl', RECORDED, present);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(UsageError);
    const { changes, message, file, fix } = refusal as OtherSettingsError;
    expect(changes).toEqual(['seed: 1, now 2', 'sampling.topK: 0, now none', 'limit: none, now 5']);
    expect(message).toBe(`out.jsonl: was begun with other settings (${changes.join('; ')})`);
    expect(file).toBe('out.jsonl');
    expect(fix).toContain('name another place');
  });
});
