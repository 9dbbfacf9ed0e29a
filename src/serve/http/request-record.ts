import type { QueryExpansion } from '../expander-options.ts';

/** Parts of the work on a request whose time is told. */
export const PARTS = ['gate', 'expand', 'embed', 'search'] as const;
export type Part = (typeof PARTS)[number];

/** What is known of one request, for its headers, the metrics, the log and its span. */
export class RequestRecord {
  readonly started = performance.now();
  /** Milliseconds by part; the longest of several queries. */
  readonly parts: Partial<Record<Part, number>> = {};
  readonly expansions: QueryExpansion[] = [];
  /** What was sent and written. Only told where texts may be logged. */
  readonly texts: { query: string; texts: readonly string[] }[] = [];
  /** Tokens that the encoder read; undefined if it does not say. */
  encodedTokens: number | undefined;
  /** Ends with the last event of a streamed answer. */
  ends: Promise<void> | undefined;

  part(part: Part, milliseconds: number): void {
    this.parts[part] = Math.max(this.parts[part] ?? 0, milliseconds);
  }

  expansion(query: string, expansion: QueryExpansion): void {
    this.expansions.push(expansion);
    this.texts.push({ query, texts: expansion.texts });
    this.part('expand', expansion.milliseconds);
    if (expansion.gate !== undefined) this.part('gate', expansion.gate.milliseconds);
  }

  encoded(tokens: number | undefined): void {
    if (tokens !== undefined) this.encodedTokens = (this.encodedTokens ?? 0) + tokens;
  }

  /** The states of the expansions, each once. */
  get states(): string[] {
    return [...new Set(this.expansions.map(({ state }) => state))];
  }

  get reasons(): string[] {
    return [...new Set(this.expansions.flatMap(({ reason }) => reason ?? []))];
  }

  /** Tokens that the LLM wrote for this request. */
  get writtenTokens(): number {
    return this.expansions.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  /** The headers that say how queries were expanded, and how long each part took. */
  get headers(): Record<string, string> {
    const timing = Object.entries(this.parts).map(([part, time]) => `${part};dur=${time.toFixed(1)}`);
    return {
      ...(this.expansions.length > 0 && {
        'x-llm-qe-expansion': this.states.join(', '),
        'x-llm-qe-tokens': `${this.writtenTokens}`,
      }),
      ...(this.reasons.length > 0 && { 'x-llm-qe-reason': this.reasons.join(', ') }),
      ...(timing.length > 0 && { 'server-timing': timing.join(', ') }),
    };
  }
}
