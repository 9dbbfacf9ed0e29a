import { describe, expect, it } from 'vitest';
import { UsageError } from '../system/index.ts';
import { asRecorded, type OtherSettingsError, refuseOtherSettings } from './recorded-settings.ts';

const RECORDED = { seed: 1, sampling: { topP: 0.9, topK: 0 } };

describe('work that was begun earlier', () => {
  it('continues with the same settings, in any order and with undefined ones', () => {
    refuseOtherSettings('x', RECORDED, { sampling: { topK: 0, topP: 0.9 }, seed: 1, limit: undefined });
    expect(asRecorded({ a: undefined, b: [1] })).toEqual({ b: [1] });
  });

  it('is refused with other settings, and the error names them, the place and the fix', () => {
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
    expect(fix).toContain('choose another path');
  });
});
