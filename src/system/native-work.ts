/** Native code that would take the process with it if the process ended in its midst. */
export interface NativeWork {
  /** Whether a call is under way. */
  readonly busy: boolean;
  /** Takes no more calls, waits for those under way, and gives all up in order. May be called several times. */
  close(): Promise<void>;
}

const open = new Set<NativeWork>();

/** Makes native work known to whoever ends the process. Returns what makes it forgotten, once it is closed. */
export function registerNativeWork(work: NativeWork): () => void {
  open.add(work);
  return () => open.delete(work);
}

/** Whether the process must not end now. */
export function isNativeWorkUnderWay(): boolean {
  return [...open].some(({ busy }) => busy);
}

/** Native code gets this long to end its step; a training step takes some seconds. */
const MOST_MILLISECONDS = 30_000;

/**
 * Ends the process early, and native work before it. A process that must end in the midst of a step that never ends is killed, which
 * crashes nothing.
 */
export async function exitInOrder(code: number): Promise<never> {
  if (isNativeWorkUnderWay()) {
    const killed = setTimeout(() => process.kill(process.pid, 'SIGKILL'), MOST_MILLISECONDS);
    await endNativeWork();
    clearTimeout(killed);
  }
  process.exit(code);
}

/** Ends all native work in order. It never rejects. */
export async function endNativeWork(): Promise<void> {
  await Promise.allSettled([...open].map((work) => work.close()));
}
