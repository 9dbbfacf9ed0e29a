import { basename, resolve } from 'node:path';
import type { Encoder } from '../embed/index.ts';
import type { Generator, PromptTemplate, Sampling } from '../generate/index.ts';
import { ModelStore } from '../models/index.ts';
import { openEncoder, type RetrievalSettings } from '../retrieve/index.ts';
import { createExpander, type Expander, RequestError, ServedIndex, SharedGenerator } from '../serve/index.ts';
import { isServerAddress } from '../servers/index.ts';
import { UsageError } from '../system/index.ts';
import type { ProgressFeed } from './http/progress-feed.ts';
import { Warm } from './warm.ts';

export interface StudioOptions {
  /** Folder of the runs. */
  runs: string;
  /** Where files of recipes are. Default: the working folder. */
  folder?: string | undefined;
  /** The words that start `llm-qe`, to run recipes. Without them runs are only watched. */
  program?: readonly string[] | undefined;
  /** Whether the studio changes nothing in the folder of the runs: it starts and stops no run, and nothing is judged. */
  readOnly?: boolean | undefined;
  /** Corpora to search: folders in BEIR's layout, or JSONL files. */
  corpora: readonly string[];
  /** Encoder and search. */
  settings: RetrievalSettings;
  /** Opens the encoder. Default: that of the settings. */
  openEncoder?: (() => Promise<Encoder>) | undefined;
  /** Names or addresses of the generators, to be shown. */
  generators: readonly string[];
  /** Options of the command line with which all generators are opened, to be told in commands. */
  generatorOptions?: (readonly [option: string, value: string])[] | undefined;
  /** Names of the adapters that the generator has. */
  adapters?: readonly string[] | undefined;
  /** Others to compare the generator with. */
  others?: readonly OtherWriter[] | undefined;
  /** Opens the generator; called at the first request that needs it. */
  openGenerator: () => Promise<Generator>;
  prompt: PromptTemplate;
  sampling: Sampling;
  samples: number;
  seed: number;
  progress: ProgressFeed;
  /** Fires when the studio is told to end. */
  signal: AbortSignal;
}

/** A generator to compare with the first, as it is named on the command line. */
export interface OtherWriter {
  generators: readonly string[];
  adapters: readonly string[];
  open: () => Promise<Generator>;
}

/** A generator, the first or another, under a name of its own. */
export interface StudioWriter extends Omit<OtherWriter, 'open'> {
  name: string;
  generator: Warm<Generator>;
}

/** A corpus that the studio was started with. */
export interface StudioCorpus {
  name: string;
  path: string;
}

/**
 * What all screens share: where things are, and the models and corpora that are open. These are opened by the first request that
 * needs them, once, and closed with the studio; a failed opening is tried again by the next request.
 */
export class Studio {
  readonly options: StudioOptions;
  readonly store: ModelStore;
  /** By name, which is that of the folder or file. */
  readonly corpora: ReadonlyMap<string, StudioCorpus>;
  readonly encoder: Warm<Encoder>;
  readonly generator: Warm<Generator>;
  /** The generator, and those to compare it with. */
  readonly writers: readonly StudioWriter[];
  readonly expander: Warm<Expander>;
  readonly #first: (() => Promise<void>)[] = [];
  readonly #indexes = new Map<string, Warm<ServedIndex>>();

  /** @throws UsageError if two corpora have one name */
  constructor(options: StudioOptions) {
    const { settings, progress, signal } = options;
    this.options = options;
    this.corpora = corporaByName(options.corpora);
    this.store = new ModelStore({ offline: settings.offline, progress });
    this.encoder = new Warm(options.openEncoder ?? (() => openEncoder(settings, this.store, signal, progress)));
    // Screens and tabs share it, so that none waits for the end of another's run.
    const share = (open: () => Promise<Generator>) => new Warm(async () => new SharedGenerator(await open()));
    this.generator = share(options.openGenerator);
    const { generators, adapters = [], others = [] } = options;
    this.writers = [
      { name: nameOf(generators, adapters), generators, adapters, generator: this.generator },
      ...others.map(({ open, ...one }) => ({
        ...one,
        name: nameOf(one.generators, one.adapters),
        generator: share(open),
      })),
    ];
    this.expander = new Warm(async () => {
      const { prompt, sampling, samples, seed } = options;
      const [encoder, generator] = [await this.encoder.open(), await this.generator.open()];
      return createExpander({ ...{ encoder, generator, prompt, sampling, samples, seed } });
    });
  }

  get signal(): AbortSignal {
    return this.options.signal;
  }

  /** @throws RequestError if there is none of that name */
  corpus(name: string): StudioCorpus {
    const corpus = this.corpora.get(name);
    if (corpus !== undefined) return corpus;
    const fix = 'Start the studio with --corpus DIR|FILE.';
    throw new RequestError(404, `there is no corpus ${JSON.stringify(name.slice(0, 100))}`, { fix });
  }

  /** Returns one of {@link writers}. @throws RequestError if there is none of that name */
  writer(name: string): Warm<Generator> {
    const writer = this.writers.find((one) => one.name === name);
    if (writer !== undefined) return writer.generator;
    const fix = 'Choose another writer, or start the studio with --second-generator or --second-adapter.';
    throw new RequestError(404, `there is no writer ${JSON.stringify(name.slice(0, 100))}`, { fix });
  }

  /** Opens a corpus; embeds what is not in the cache. @throws RequestError if there is none of that name */
  index(name: string): Promise<ServedIndex> {
    const corpus = this.corpus(name);
    const { settings, progress, signal } = this.options;
    const known = this.#indexes.get(name);
    if (known !== undefined) return known.open();
    const opened = new Warm(async () =>
      ServedIndex.open(corpus.path, await this.encoder.open(), settings, { signal, progress }),
    );
    this.#indexes.set(name, opened);
    return opened.open();
  }

  /** What is closed before all else, such as work that uses models. */
  closeFirst(close: () => Promise<void>): void {
    this.#first.push(close);
  }

  /** Closes what is open: what uses something before what it uses. */
  async close(): Promise<void> {
    for (const close of this.#first) await close();
    const writers = this.writers.map(({ generator }) => generator);
    for (const one of [...this.#indexes.values(), this.expander, ...writers, this.encoder]) await one.close();
  }
}

/** @throws UsageError */
function corporaByName(paths: readonly string[]): Map<string, StudioCorpus> {
  const corpora = new Map<string, StudioCorpus>();
  for (const path of paths) {
    const name = basename(resolve(path)).replace(/\.jsonl(\.gz)?$/, '');
    const other = corpora.get(name);
    if (other !== undefined) {
      throw new UsageError(`two corpora are named ${name}: ${other.path} and ${path}`, { fix: 'Rename one of them.' });
    }
    corpora.set(name, { name, path });
  }
  return corpora;
}

/** Such as `smollm2 + aligned`. */
function nameOf(generators: readonly string[], adapters: readonly string[]): string {
  const last = (path: string) => (isServerAddress(path) ? path : basename(path));
  return [generators.map(last).join(', '), ...adapters.map(last)].join(' + ');
}
