import { z } from 'zod';
import { type Combination, combinationOptions, type RetrievalSettings, retrievalSettings } from '../retrieve/index.ts';
import { toKebab, UsageError } from '../system/index.ts';
import { nameSchema, type SystemTexts } from './suite-schema.ts';
import { idleOptions, type Searched } from './system-options.ts';

/** Ways to search. */
export const RETRIEVERS = ['dense', 'bm25', 'rrf'] as const;
export type RetrieverKind = (typeof RETRIEVERS)[number];

/** One way to search that the suite compares with others: a column of its table. */
export interface SuiteSystem {
  name: string;
  retriever: RetrieverKind;
  /** Settings of the search; how expansions are combined with queries is decided when they are there. */
  retrieval: RetrievalSettings;
  /** How expansions are combined with queries, as far as the user says; otherwise their manifest says it. */
  combination: { [Part in keyof Combination]?: Combination[Part] | undefined };
  /** Options of the writer of its expansions; undefined if none are written. */
  writer: Readonly<Record<string, unknown>> | undefined;
  /** A file of existing expansions, in which `{set}` stands for the name of the set. */
  expansions: string | undefined;
  /** Whether the texts of that file replace the queries. */
  asIs: boolean;
  /** A gate's file, which weights the expansions query by query. */
  gate: string | undefined;
  /** What was asked for: `dense, alpha 0.3, task q2e`. */
  description: string;
}

/** Whether the queries are searched with expansions. */
export function isExpanded({ writer, expansions }: Pick<SuiteSystem, 'writer' | 'expansions'>): boolean {
  return writer !== undefined || expansions !== undefined;
}

/** The options that all systems share unless a system says otherwise, and the schemas that check them. */
export interface SystemOptions {
  /** Settings of the search, given by the user or the default. */
  retrieval: Omit<RetrievalSettings, keyof Combination>;
  /** How expansions are combined with queries, if the user says it for all systems. */
  combination?: SuiteSystem['combination'];
  /** Schemas of the writer's options. */
  writerShape: z.ZodRawShape;
  /** The writer's options, given by the user or the default. */
  writer: Readonly<Record<string, unknown>>;
}

/** Keys of a system itself, beside those of search and writer. */
const OWN_KEYS = {
  retriever: z.enum(RETRIEVERS),
  expansions: z.string().min(1),
  asIs: z.boolean(),
  gate: z.string().min(1),
} satisfies z.ZodRawShape;

/** What is compared if nothing is said. */
const DEFAULT_SYSTEMS: SystemTexts = {
  bm25: { retriever: 'bm25' },
  raw: { retriever: 'dense' },
  expanded: { retriever: 'dense', task: 'q2d' },
};

/**
 * Parses systems: those of the command line (`NAME=RETRIEVER,key=value`), or else those of the suite's file, or else the defaults.
 * The keys are the options of a search and of the writer, checked by the same schemas.
 * @throws UsageError that names system and key
 */
export function parseSystems(
  given: readonly string[],
  ofFile: SystemTexts | undefined,
  options: SystemOptions,
): SuiteSystem[] {
  const texts = given.length > 0 ? given.map(splitSystem) : Object.entries(ofFile ?? DEFAULT_SYSTEMS);
  const systems = texts.map(([name, keys]) => parseSystem(name, keys, options));
  const doubled = systems.find(({ name }, at) => systems.findIndex((other) => other.name === name) < at);
  if (doubled !== undefined) {
    throw new UsageError(`two systems are named ${doubled.name}`, { fix: 'Give each system its own name.' });
  }
  return systems;
}

/** Splits `NAME=RETRIEVER,key=value,flag` into name and keys; values stay texts. */
function splitSystem(text: string): [name: string, keys: Record<string, unknown>] {
  const [, name, spec] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || spec === undefined) {
    throw new UsageError(`--system ${JSON.stringify(text)} is not NAME=RETRIEVER,key=value`, {
      fix: 'Write, for example, --system expanded=dense,alpha=0.3,task=q2e.',
    });
  }
  const [retriever, ...parts] = spec.split(',').map((part) => part.trim());
  const keys: Record<string, unknown> = { retriever };
  for (const part of parts) {
    const [, key, value] = /^([^=]+)(?:=(.*))?$/s.exec(part) ?? [];
    if (key === undefined) throw badSystem(name, `${JSON.stringify(part)} is not key=value`);
    const before = keys[toCamel(key)];
    // A repeated key is a list.
    keys[toCamel(key)] = before === undefined ? (value ?? 'true') : [before, value ?? 'true'].flat();
  }
  return [name.trim(), keys];
}

function parseSystem(name: string, keys: Record<string, unknown>, options: SystemOptions): SuiteSystem {
  const { retrieval, writerShape, writer } = options;
  if (!nameSchema.safeParse(name).success || name.includes('/')) {
    throw new UsageError(`${JSON.stringify(name)} is not a name for a system`, {
      fix: 'Use letters, digits and _ . + - in it.',
    });
  }
  const shape: z.ZodRawShape = { ...writerShape, ...retrievalSettings, ...combinationOptions, ...OWN_KEYS };
  const values: Record<string, unknown> = {};
  for (const [written, value] of Object.entries(keys)) {
    const key = toCamel(written);
    const schema = Object.hasOwn(shape, key) ? (shape[key] as z.ZodType) : undefined;
    if (schema === undefined) throw badSystem(name, `there is no option ${toKebab(key)}`, Object.keys(shape));
    const parsed = schema.safeParse(typeFor(schema, value));
    if (!parsed.success) throw badSystem(name, `${toKebab(key)}: ${parsed.error.issues[0]!.message}`);
    values[key] = parsed.data;
  }
  const retriever = values.retriever as RetrieverKind | undefined;
  if (retriever === undefined) throw badSystem(name, `no retriever is given`);
  const expansions = values.expansions as string | undefined;
  const written = Object.keys(values).filter((key) => Object.hasOwn(writerShape, key) && !isOfSearch(key));
  if (expansions !== undefined && written.length > 0) {
    throw badSystem(name, `expansions names a file, so ${written.map(toKebab).join(', ')} would have no effect`);
  }
  const { asIs = false, gate } = values as { asIs?: boolean; gate?: string };
  if (asIs && expansions === undefined) throw badSystem(name, 'as-is needs expansions=FILE');
  if (gate !== undefined && expansions === undefined && written.length === 0) {
    throw badSystem(name, 'gate decides on expansions, and there are none');
  }
  if (asIs && gate !== undefined) throw badSystem(name, 'as-is and gate cannot be combined');
  const own = (isKey: (key: string) => boolean) => pick(values, isKey);
  const isOfWriter = (key: string) => Object.hasOwn(writerShape, key);
  const searched = { ...pick(retrieval, isOfSearch), ...own(isOfSearch) } as RetrievalSettings;
  refuseIdle(
    name,
    Object.keys(values),
    { retriever, asIs, gate, retrieval: searched },
    expansions !== undefined || written.length > 0,
  );
  return {
    ...{ name, retriever, expansions, asIs, gate },
    retrieval: searched,
    combination: { ...options.combination, ...own((key) => Object.hasOwn(combinationOptions, key)) },
    writer: written.length === 0 ? undefined : { ...pick(writer, isOfWriter), ...own(isOfWriter) },
    description: [retriever, ...describeKeys(values)].join(', '),
  };
}

/** @throws UsageError that names the options which would have an effect */
function refuseIdle(name: string, given: readonly string[], system: Searched, expanded: boolean): void {
  const [idle] = idleOptions(given, system, expanded);
  if (idle === undefined) return;
  const all = Object.keys({ ...retrievalSettings, ...combinationOptions });
  const without = new Set(idleOptions(all, system, expanded).map(({ option }) => option));
  const useful = all.filter((key) => !without.has(key)).map(toKebab);
  throw new UsageError(`system ${name}: ${toKebab(idle.option)} has no effect ${idle.why}`, {
    fix: `Omit it. Options of the search that have an effect here: ${useful.sort().join(', ')}.`,
  });
}

/** The shared options are those of a whole command: only what a schema names belongs to a search or a writer. */
function pick(values: object, isKey: (key: string) => boolean): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => isKey(key)));
}

function isOfSearch(key: string): boolean {
  return Object.hasOwn(retrievalSettings, key);
}

function describeKeys({ retriever: _retriever, ...values }: Record<string, unknown>): string[] {
  return Object.entries(values).map(([key, value]) => {
    const name = toKebab(key).replaceAll('-', ' ');
    return value === true ? name : `${name} ${Array.isArray(value) ? value.join(' and ') : String(value)}`;
  });
}

/** Turns a text into the type that a schema expects; what does not fit is left to the schema to refuse. */
function typeFor(schema: z.ZodType, value: unknown): unknown {
  const { type, innerType } = schema.def as { type: string; innerType?: z.ZodType };
  if (innerType !== undefined) return typeFor(innerType, value);
  if (type === 'array') return Array.isArray(value) ? value : [value];
  if (typeof value !== 'string') return value;
  if (type === 'number' && value.trim() !== '' && Number.isFinite(Number(value))) return Number(value);
  if (type === 'boolean' && /^(true|false)$/.test(value)) return value === 'true';
  return value;
}

function badSystem(name: string, reason: string, keys?: readonly string[]): UsageError {
  const known = keys === undefined ? '' : ` Options are ${[...new Set(keys)].map(toKebab).sort().join(', ')}.`;
  return new UsageError(`system ${name}: ${reason}`, {
    fix: `A system is NAME=RETRIEVER,key=value; the retriever is ${RETRIEVERS.join(', ')}.${known}`,
  });
}

function toCamel(key: string): string {
  return key.trim().replace(/-([a-z0-9])/g, (_both, letter: string) => letter.toUpperCase());
}
