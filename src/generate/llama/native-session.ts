import { AbortedError, type NativeWork, registerNativeWork } from '../../system/index.ts';

/**
 * Owns native objects of llama.cpp: a model, its contexts, their samplers. Every asynchronous call into them goes through {@link
 * call} or {@link acquire}, and nothing is disposed of during a call. The process would crash if a context were freed while another
 * thread computes with it, or if the process ended there.
 */
export class NativeSession implements NativeWork {
  readonly #underWay = new Set<Promise<unknown>>();
  /** In order of creation; the last object created is disposed of first. */
  readonly #disposals: (() => unknown)[] = [];
  readonly #forget: () => void;
  #closed: Promise<void> | undefined;

  constructor() {
    this.#forget = registerNativeWork(this);
  }

  get busy(): boolean {
    return this.#underWay.size > 0;
  }

  /** Makes one call. @throws AbortedError if the session is closed */
  async call<T>(work: () => Promise<T>): Promise<T> {
    this.refuseClosed();
    const call = work();
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }

  /** Creates an object. It is disposed of when the session closes, before all objects created earlier. */
  acquire<T>(make: () => Promise<T>, dispose: (made: T) => unknown): Promise<T> {
    return this.call(() => make().then((made) => this.own(made, dispose)));
  }

  /** Takes ownership of an existing object. */
  own<T>(made: T, dispose: (made: T) => unknown): T {
    this.#disposals.push(() => dispose(made));
    return made;
  }

  /** For calls that return at once. @throws AbortedError if the session is closed */
  refuseClosed(): void {
    if (this.#closed !== undefined) throw new AbortedError();
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    while (this.busy) await Promise.allSettled(this.#underWay);
    try {
      for (let dispose = this.#disposals.pop(); dispose !== undefined; dispose = this.#disposals.pop()) await dispose();
    } finally {
      this.#forget();
    }
  }
}
