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

/** Ends all native work in order: whoever leaves the process early waits for this first. It never rejects. */
export async function endNativeWork(): Promise<void> {
  await Promise.allSettled([...open].map((work) => work.close()));
}
