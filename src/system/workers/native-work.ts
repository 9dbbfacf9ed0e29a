/** Native code that would crash the process if the process ended during a call. */
export interface NativeWork {
  /** Whether a call is in progress. */
  readonly busy: boolean;
  /** Accepts no more calls, waits for those in progress, and disposes of everything in order. May be called repeatedly. */
  close(): Promise<void>;
}

const open = new Set<NativeWork>();

/** Registers native work, so that it is ended before the process. Returns a function that removes it once it is closed. */
export function registerNativeWork(work: NativeWork): () => void {
  open.add(work);
  return () => open.delete(work);
}

/** Returns whether the process must not end now. */
export function isNativeWorkUnderWay(): boolean {
  return [...open].some(({ busy }) => busy);
}

/** Time limit for native code to end its step; a training step takes some seconds. */
const MOST_MILLISECONDS = 30_000;

/** Ends native work, then the process. If a step does not end within the limit, the process kills itself, which avoids a crash. */
export async function exitInOrder(code: number): Promise<never> {
  if (isNativeWorkUnderWay()) {
    const killed = setTimeout(() => process.kill(process.pid, 'SIGKILL'), MOST_MILLISECONDS);
    await endNativeWork();
    clearTimeout(killed);
  }
  process.exit(code);
}

/** Ends all native work in order. Never rejects. */
export async function endNativeWork(): Promise<void> {
  await Promise.allSettled([...open].map((work) => work.close()));
}
