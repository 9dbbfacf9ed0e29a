import { RequestLog } from '../serve/index.ts';

/** So many queries tell whether the LLM is fast enough. */
const LOOKED_AT = 10;

/** A log that says once, to the operator, that the LLM is too slow for the budget: requests succeed all the same, so nobody might notice. */
export class HintingLog extends RequestLog {
  readonly #warn: (message: string) => void;
  #asked = 0;
  #late = 0;

  constructor(options: ConstructorParameters<typeof RequestLog>[0], warn: (message: string) => void) {
    super(options);
    this.#warn = warn;
  }

  override write(request: Parameters<RequestLog['write']>[0]): void {
    super.write(request);
    for (const { state, reason } of request.record.expansions) this.#count(state, reason);
  }

  #count(state: string, reason: string | undefined): void {
    const isLate = state === 'fallback' && reason === 'too slow';
    if (this.#asked === LOOKED_AT || !(isLate || state === 'generated' || state === 'partial')) return;
    this.#asked++;
    if (isLate) this.#late++;
    if (this.#asked < LOOKED_AT || this.#late <= LOOKED_AT / 2) return;
    this.#warn(
      `for ${this.#late} of the first ${LOOKED_AT} queries the LLM wrote nothing in time, so they were not expanded: raise --budget-ms, or use a faster LLM (--generator URL)`,
    );
  }
}
