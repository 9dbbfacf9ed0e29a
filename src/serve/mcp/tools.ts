import { z } from 'zod';
import {
  EXPANSION_STATES,
  type ExpandQueryOptions,
  LONGEST_BUDGET_MS,
  type QueryExpansion,
  type QueryVector,
} from '../expander-options.ts';
import type { ServedDocument } from '../served-index.ts';
import { chooseIndex, type Service } from '../service.ts';
import { inSpan } from '../spans.ts';

/** Longest query, in characters. */
const LONGEST_QUERY = 32_768;
/** Characters of a document's text: a model reads answers whole. */
const CHARACTERS = 1000;
/** Raw hits in which an expanded hit is looked for. */
const RAW_DEPTH = 100;

/** Models write null for what they do not set. */
function orDefault(schema: z.ZodNumber, value: number, description: string) {
  return schema
    .nullish()
    .transform((given) => given ?? value)
    .describe(`${description} (default: ${value})`);
}

const expansionInput = {
  query: z.string().min(1).max(LONGEST_QUERY).describe('what is searched for, in natural language'),
  expansions: z
    .array(z.string().max(LONGEST_QUERY))
    .max(16)
    .nullish()
    .describe('your own passages that answer the query; then no language model is asked to write one'),
  expansion_budget_ms: z
    .number()
    .int()
    .min(0)
    .max(LONGEST_BUDGET_MS)
    .nullish()
    .describe('time for writing the expansion, in milliseconds; 0: none is written'),
};
const searchInput = {
  ...expansionInput,
  index: z.string().max(1000).nullish().describe('name of the index; needed if there are several'),
  top: orDefault(z.number().int().min(1).max(100), 10, 'number of documents'),
  characters: orDefault(z.number().int().min(0).max(20_000), CHARACTERS, 'most characters of each text'),
};

const expansionOutput = z.object({
  state: z.enum(EXPANSION_STATES),
  reason: z.string().optional().describe('why the whole text of the language model was not used'),
  texts: z.array(z.string()),
  alpha: z.number().describe('weight of the texts in the vector of the query'),
  tokens: z.number().describe('tokens that the language model wrote'),
  milliseconds: z.number(),
});
const document = z.object({
  ...{ rank: z.number(), id: z.string(), score: z.number(), text: z.string() },
  passage: z.object({ start: z.number(), end: z.number() }).optional(),
});

/** What a tool is called with, beside its arguments. */
export interface ToolCall {
  service: Service;
  signal: AbortSignal;
  /** Receives each expansion. */
  observe?: ((query: string, expansion: QueryExpansion) => void) | undefined;
}

/** A tool, with its words, the schemas of its arguments and of its answer, and what it does. */
export interface Tool<Input extends z.ZodObject, Output extends z.ZodObject> {
  title: string;
  description: string;
  input: Input;
  output: Output;
  run(given: z.output<Input>, call: ToolCall): Promise<z.output<Output>>;
}

function tool<Input extends z.ZodObject, Output extends z.ZodObject>(one: Tool<Input, Output>): Tool<Input, Output> {
  return one;
}

export const TOOLS = {
  search: tool({
    title: 'Search',
    description:
      'Searches an index of documents. A language model first writes a passage that could answer the query, and the search is for the query and that passage together.',
    input: z.object(searchInput),
    output: z.object({
      ...{ query: z.string(), index: z.string() },
      ...{ expansion: expansionOutput, documents: z.array(document) },
    }),
    async run({ query, top, characters, ...given }, call) {
      const index = chooseIndex(call.service.indexes, given.index ?? undefined);
      const found = await embed(query, given, call, index.firstPass);
      const documents = await inSpan('search', { attributes: { 'llm_qe.index': index.name, 'llm_qe.top': top } }, () =>
        index.search(found.vector, top, call.signal),
      );
      return { query, index: index.name, expansion: told(found), documents: shortened(documents, characters) };
    },
  }),
  expand: tool({
    title: 'Expand a query',
    description: 'Writes the passage that a search would use, and says whether and with which weight it counts.',
    input: z.object(expansionInput),
    output: z.object({ query: z.string(), expansion: expansionOutput }),
    async run({ query, ...given }, { service, signal, observe }) {
      const expansion = await service.expander.expand(query, { ...optionsOf(given), signal });
      observe?.(query, expansion);
      return { query, expansion: told(expansion) };
    },
  }),
  compare: tool({
    title: 'Compare raw and expanded search',
    description:
      'Searches twice, with the query as it is and with its expansion, and says how each document moved: where it stood in the raw search, and which documents the expansion brought in or drove out.',
    input: z.object(searchInput),
    output: z.object({
      ...{ query: z.string(), index: z.string(), expansion: expansionOutput },
      expanded: z.array(
        document.extend({
          raw_rank: z.number().nullable().describe(`rank in the raw search; null: not among its first ${RAW_DEPTH}`),
          move: z.number().nullable().describe('ranks gained; negative: lost'),
        }),
      ),
      raw: z.array(document.extend({ expanded_rank: z.number().nullable().describe('null: not among those shown') })),
    }),
    async run({ query, top, characters, ...given }, call) {
      const { service, signal } = call;
      const index = chooseIndex(service.indexes, given.index ?? undefined);
      const [found, vector] = await Promise.all([
        embed(query, given, call, index.firstPass),
        service.expander.embedRaw(query, { signal }),
      ]);
      const [expanded, raw] = await Promise.all([
        index.search(found.vector, top, signal),
        index.search(vector, Math.max(top, RAW_DEPTH), signal),
      ]);
      const rankIn = (hits: readonly ServedDocument[], id: string) => hits.find((one) => one.id === id)?.rank ?? null;
      return {
        ...{ query, index: index.name, expansion: told(found) },
        expanded: shortened(expanded, characters).map((hit) => {
          const before = rankIn(raw, hit.id);
          return { ...hit, raw_rank: before, move: before === null ? null : before - hit.rank };
        }),
        raw: shortened(raw.slice(0, top), characters).map((hit) => ({
          ...hit,
          expanded_rank: rankIn(expanded, hit.id),
        })),
      };
    },
  }),
};

type GivenExpansion = Pick<z.output<z.ZodObject<typeof expansionInput>>, 'expansions' | 'expansion_budget_ms'>;

async function embed(
  query: string,
  given: GivenExpansion,
  { service, signal, observe }: ToolCall,
  firstPass: ExpandQueryOptions['firstPass'],
): Promise<QueryVector> {
  const found = await service.expander.embedQuery(query, { ...optionsOf(given), firstPass, signal });
  observe?.(query, found);
  return found;
}

function optionsOf({ expansions, expansion_budget_ms: budgetMs }: GivenExpansion) {
  return { expansions: expansions ?? undefined, budgetMs: budgetMs ?? undefined };
}

function told({ state, reason, texts, alpha, tokens, milliseconds }: QueryExpansion) {
  return {
    state,
    ...(reason !== undefined && { reason }),
    texts,
    alpha,
    tokens,
    milliseconds: Math.round(milliseconds),
  };
}

function shortened(documents: readonly ServedDocument[], characters: number): ServedDocument[] {
  return documents.map(({ text, ...rest }) => ({
    ...rest,
    text: text.length <= characters ? text : `${text.slice(0, characters).replace(/[\uD800-\uDBFF]$/, '')}...`,
  }));
}
