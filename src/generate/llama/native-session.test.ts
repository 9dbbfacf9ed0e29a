import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AbortedError, endNativeWork, isNativeWorkUnderWay } from '../../system/index.ts';
import { NativeSession } from './native-session.ts';

describe('NativeSession', () => {
  it('disposes in reverse order, and only after the calls in progress have ended', async () => {
    const log: string[] = [];
    const session = new NativeSession();
    await session.acquire(
      async () => 'model',
      (made) => log.push(made),
    );
    session.own('sampler', (made) => log.push(made));
    const call = session.call(() => sleep(40).then(() => log.push('called')));
    expect(session.busy).toBe(true);
    await session.close();
    expect(log).toEqual(['called', 'sampler', 'model']);
    await call;
    await session.close();
    expect(log).toHaveLength(3);
  });

  it('accepts no call once it is closing, and disposes of objects still being created', async () => {
    const log: string[] = [];
    const session = new NativeSession();
    const made = session.acquire(
      () => sleep(20).then(() => 'context'),
      (context) => log.push(context),
    );
    const closed = session.close();
    await expect(session.call(async () => log.push('late'))).rejects.toThrow(AbortedError);
    expect(() => session.refuseClosed()).toThrow(AbortedError);
    await closed;
    expect(await made).toBe('context');
    expect(log).toEqual(['context']);
  });

  it('ends after all native work, even if a call fails', async () => {
    const session = new NativeSession();
    const failed = session.call(() => sleep(20).then(() => Promise.reject(new Error('decode'))));
    expect(isNativeWorkUnderWay()).toBe(true);
    const heard = expect(failed).rejects.toThrow('decode');
    await endNativeWork();
    await heard;
    expect(isNativeWorkUnderWay()).toBe(false);
    expect(() => session.refuseClosed()).toThrow(AbortedError);
  });
});
