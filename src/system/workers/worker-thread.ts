import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { AbortedError, LlmQeError } from '../errors.ts';
import { registerNativeWork } from './native-work.ts';
import { unpackError } from './packed-error.ts';
import { workerFile } from './worker-file.ts';
import type { FromThread, Loan, ThreadStart, ToThread } from './worker-messages.ts';

export interface WorkerThreadOptions {
  /** Passed to the thread's `serve`; copied, except for shared memory. */
  data: unknown;
  /** Returns the error of open and later calls if the thread ended by itself. @param cause the reason, if known */
  fault(cause: Error | undefined): Error;
  /** Returns the error of a call that threw an untyped error. Default: as `fault`. */
  failure?: (thrown: Error) => Error;
  /** Whether it may be ended during a call; never if it runs native code, which would crash the process. */
  killable?: boolean;
}

interface Call<Reply> {
  loan: Loan | undefined;
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/**
 * A worker thread that answers calls one after another, in order. While a call is open, the thread keeps the process alive. A typed
 * error thrown inside rejects its call with the same type and text.
 */
export class WorkerThread<Request, Reply> {
  readonly #worker: Worker;
  readonly #options: WorkerThreadOptions;
  /** Oldest first: the thread answers in this order. */
  readonly #calls: Call<Reply>[] = [];
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #exit: Promise<void>;
  /** Removes it from the registry of native work. A thread that may be killed is not registered. */
  readonly #forget: () => void;
  #ended: Error | undefined;
  #closed: Promise<void> | undefined;
  /** Its calls may be rejected already while the last one is still being computed. */
  #isLeaving = false;

  /** @param relative the file that exports `serve`, relative to the caller, whose `import.meta.url` is `callerUrl` */
  constructor(callerUrl: string, relative: string, options: WorkerThreadOptions) {
    const service = pathToFileURL(workerFile(callerUrl, relative)).href;
    const start: ThreadStart = { service, data: options.data, stop: this.#stop };
    this.#options = options;
    // Without execArgv a worker would inherit flags that are meant for the main program, such as --input-type.
    this.#worker = new Worker(workerFile(import.meta.url, './worker-host.ts'), { workerData: start, execArgv: [] });
    this.#worker.on('message', (message: FromThread<Reply>) => this.#settle(message));
    this.#worker.on('error', (error) => this.#die(error));
    this.#exit = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#forget = options.killable ? () => {} : registerNativeWork(this);
    this.#exit.then(() => this.#die(undefined));
    this.#worker.unref();
  }

  /** Whether it is computing. */
  get busy(): boolean {
    return this.#calls.length > 0 || this.#isLeaving;
  }

  /** Number of calls not yet answered. */
  get open(): number {
    return this.#calls.length;
  }

  /** Why it accepts no more calls; undefined while it does. */
  get ended(): Error | undefined {
    return this.#ended;
  }

  /** @param transfer buffers in the request that are transferred instead of copied */
  call(request: Request, transfer: readonly ArrayBuffer[] = []): Promise<Reply> {
    return this.#send(request, transfer, undefined);
  }

  /**
   * Makes a call whose buffers come back. They are detached until it is answered; then `values`, a part of the request, holds the
   * same memory again, even if the call failed. Only a thread that ended does not return them.
   * @param buffers of `values`
   */
  lend(request: Request, values: object, buffers: readonly ArrayBuffer[]): Promise<Reply> {
    return this.#send(request, buffers, { values, buffers });
  }

  /**
   * Accepts no more calls, ends the thread and waits for it. The current call is still answered and may end early; waiting calls
   * are rejected with AbortedError. A killable thread ends during its call.
   * @param reason rejects all open calls with this immediately instead
   */
  close(reason?: Error): Promise<void> {
    this.#ended ??= reason ?? new AbortedError();
    if (reason !== undefined) this.#rejectAll(reason);
    this.#isLeaving = true;
    this.#closed ??= this.#leave();
    return this.#closed;
  }

  async #leave(): Promise<void> {
    Atomics.store(this.#stop, 0, 1);
    this.#worker.ref();
    if (this.#options.killable) await this.#worker.terminate();
    else this.#worker.postMessage('end' satisfies ToThread<Request>);
    await this.#exit;
  }

  #send(request: Request, transfer: readonly ArrayBuffer[], loan: Loan | undefined): Promise<Reply> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#worker.postMessage({ request, loan } satisfies ToThread<Request>, transfer);
      this.#calls.push({ loan, resolve, reject });
      this.#worker.ref();
    });
  }

  #settle(message: FromThread<Reply>): void {
    const call = this.#calls.shift();
    if (this.#calls.length === 0 && this.#ended === undefined) this.#worker.unref();
    if (call?.loan !== undefined) Object.assign(call.loan.values, message.returned);
    if ('value' in message) call?.resolve(message.value);
    else call?.reject(this.#describe(unpackError(message.error)));
  }

  #describe(thrown: Error): Error {
    if (thrown instanceof LlmQeError) return thrown;
    const { failure, fault } = this.#options;
    return failure === undefined ? fault(thrown) : failure(thrown);
  }

  #die(cause: Error | undefined): void {
    this.#isLeaving = false;
    this.#forget();
    this.#ended ??= this.#options.fault(cause);
    this.#rejectAll(this.#ended);
  }

  #rejectAll(error: Error): void {
    for (const call of this.#calls.splice(0)) call.reject(error);
  }
}
