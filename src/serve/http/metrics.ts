import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { ENCODER_FAULTS } from '../encoder-faults.ts';
import type { Expander } from '../expander.ts';
import type { RequestRecord } from './request-record.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Why a connection was closed that made no sound request. */
export type ConnectionFault = 'slow' | 'malformed' | 'headers too large' | 'too many';

/** What is read when the metrics are asked for. */
interface Sources {
  inFlight: () => number;
  expander: () => Expander | undefined;
  droppedLines: () => number;
}

/** What a server tells about itself, in Prometheus' text format. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#histogram('request_seconds', 'time of a request; status 499: its client left', [
    'route',
    'status',
  ]);
  readonly #parts = this.#histogram('part_seconds', 'time of a part of the work', ['part']);
  readonly #expansions = this.#counter('expansions_total', 'queries, by where their expansion came from', [
    'state',
    'reason',
  ]);
  readonly #refused = this.#counter('refused_total', 'requests that were refused because the server was full', []);
  readonly #connections = this.#counter('closed_connections_total', 'connections that made no sound request', [
    'reason',
  ]);
  /** Tokens and faults that were counted by expanders that are closed. */
  #last: Pick<Expander, 'writtenTokens' | 'gateFailures' | 'encoderFaults'> | undefined;

  constructor({ inFlight, expander, droppedLines }: Sources) {
    collectDefaultMetrics({ register: this.#registry });
    const counts = () => {
      this.#last = expander() ?? this.#last;
      return this.#last;
    };
    this.#gauge('requests_in_flight', 'requests that are being answered', inFlight);
    this.#gauge('pending_texts', 'texts that the LLM writes or has waiting', () => expander()?.pendingTexts ?? 0);
    this.#gauge('waiting_texts', 'texts that wait for the encoder', () => expander()?.waitingTexts ?? 0);
    this.#total('written_tokens_total', 'tokens that the LLM wrote', () => counts()?.writtenTokens ?? 0);
    this.#total('gate_failures_total', 'queries whose hits the gate could not read', () => counts()?.gateFailures ?? 0);
    this.#total('log_lines_dropped_total', 'lines of the log that nobody read', droppedLines);
    this.#faults(() => counts()?.encoderFaults);
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

  /** Counts the parts and expansions of a request. */
  record({ parts, expansions }: RequestRecord): void {
    for (const { state, reason = '' } of expansions) this.#expansions.inc({ state, reason });
    for (const [part, milliseconds] of Object.entries(parts)) this.#parts.observe({ part }, milliseconds / 1000);
  }

  refused(): void {
    this.#refused.inc();
  }

  connection(reason: ConnectionFault): void {
    this.#connections.inc({ reason });
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

  #faults(read: () => Expander['encoderFaults'] | undefined): void {
    new Counter({
      name: 'llm_qe_encoder_failures_total',
      help: 'calls of the encoder that failed, by what was wrong',
      labelNames: ['fault'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const fault of ENCODER_FAULTS) this.inc({ fault }, read()?.get(fault) ?? 0);
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
