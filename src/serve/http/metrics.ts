import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { QueryExpansion } from '../expander-options.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What a server tells about itself, in Prometheus' text format. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#histogram('request_seconds', 'time of a request', ['route', 'status']);
  readonly #parts = this.#histogram('part_seconds', 'time of a part of the work', ['part']);
  readonly #expansions = this.#counter('expansions_total', 'queries, by where their expansion came from', [
    'state',
    'reason',
  ]);
  readonly #refused = this.#counter('refused_total', 'requests that were refused because the server was full', []);

  /** @param now what is read when the metrics are asked for */
  constructor(now: { pendingTexts: () => number; inFlight: () => number; writtenTokens: () => number }) {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge('pending_texts', 'texts that the LLM writes or has waiting', now.pendingTexts);
    this.#total('written_tokens_total', 'tokens that the LLM wrote', now.writtenTokens);
    this.#gauge('requests_in_flight', 'requests that are being answered', now.inFlight);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  request(route: string, status: number, milliseconds: number): void {
    this.#requests.observe({ route, status }, milliseconds / 1000);
  }

  part(part: 'expand' | 'embed' | 'search', milliseconds: number): void {
    this.#parts.observe({ part }, milliseconds / 1000);
  }

  expansion({ state, reason = '', milliseconds }: QueryExpansion): void {
    this.#expansions.inc({ state, reason });
    this.part('expand', milliseconds);
  }

  refused(): void {
    this.#refused.inc();
  }

  #histogram(name: string, help: string, labelNames: string[]) {
    return new Histogram({ name: `llm_qe_${name}`, help, labelNames, buckets: SECONDS, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[]) {
    return new Counter({ name: `llm_qe_${name}`, help, labelNames, registers: [this.#registry] });
  }

  /** A total that is counted elsewhere. */
  #total(name: string, help: string, read: () => number): void {
    new Counter({
      ...{ name: `llm_qe_${name}`, help, registers: [this.#registry] },
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      ...{ name: `llm_qe_${name}`, help, registers: [this.#registry] },
      collect() {
        this.set(read());
      },
    });
  }
}
