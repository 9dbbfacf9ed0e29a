import { availableParallelism } from 'node:os';
import { z } from 'zod';
import {
  connectGenerator,
  type Generator,
  loadGenerator,
  PROMPTS,
  type PromptTemplate,
  readPrompt,
  refuseWithoutLlama,
  TASKS,
} from '../generate/index.ts';
import { DEFAULT_GENERATOR, ModelStore, resolveAdapter, templateVariablesSchema } from '../models/index.ts';
import { offlineOption, retrievalSettings } from '../retrieve/index.ts';
import { isServerAddress, refuseIdleOptions, refuseServerOptions, serverOrNameSchema } from '../servers/index.ts';
import { DEFAULT_SEED, inGroup, refuseServerOffline, UsageError } from '../system/index.ts';
import type { CommandContext } from './command.ts';

/** Options of every command that generates text with an LLM. */
export const generatorOptions = inGroup('Language model:', {
  task: z.enum(TASKS).default('q2d').describe('which published prompt to use'),
  prompt: z
    .string()
    .optional()
    .describe('file with your own prompt, which must contain {query}')
    .meta({ valueName: 'FILE' }),
  generator: z
    .array(serverOrNameSchema)
    .min(1)
    .default([DEFAULT_GENERATOR])
    .describe('a model name, a .gguf file, or the address of an OpenAI-compatible server; only servers may be repeated')
    .meta({ valueName: 'NAME|FILE|URL' }),
  model: z.string().optional().describe("the model's name on the server").meta({ valueName: 'NAME' }),
  adapter: z
    .array(z.string())
    .default([])
    .describe('LoRA adapter for the embedded model: a PEFT folder, a GGUF file, or hf:owner/name')
    .meta({ valueName: 'DIR|FILE' }),
  chatTemplateKwargs: z
    .string()
    .transform((text, context) => {
      const kwargs = parseKwargs(text);
      if (typeof kwargs === 'object') return kwargs;
      context.addIssue(kwargs);
      return z.NEVER;
    })
    .optional()
    .describe(
      `variables of the chat template, as JSON; '{"enable_thinking": false}' turns off the reasoning text of many models`,
    )
    .meta({ valueName: 'JSON' }),
  temperature: z.coerce.number().min(0).default(1).describe('sampling temperature; 0 is greedy decoding'),
  topP: z.coerce.number().gt(0).max(1).default(0.9).describe('nucleus sampling: probability mass to sample from'),
  topK: z.coerce.number().int().min(0).default(0).describe('sample from this many top tokens; 0: from all'),
  maxTokens: z.coerce.number().int().min(1).default(512).describe('maximum number of new tokens per text'),
  samples: z.coerce.number().int().min(1).default(1).describe('expansions per query'),
  seed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of all samples'),
  concurrency: z.coerce.number().int().min(1).optional().describe('simultaneous calls to servers (default 16)'),
  timeout: z.coerce
    .number()
    .positive()
    .optional()
    .describe('time limit of one call to a server, in seconds (default 300)'),
  maxWait: retrievalSettings.maxWait,
  sequences: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('texts that the embedded model writes in parallel (default 32)'),
  threads: z.coerce.number().int().min(1).optional().describe('processor threads (default: one per core)'),
  context: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('context length in tokens, for prompt and new text (default: --max-tokens plus 512)'),
  gpu: z.boolean().default(false).describe('run the embedded model on the GPU'),
  deterministic: z
    .boolean()
    .default(false)
    .describe('use one thread, and write one text at a time: slower, but equal runs give byte-identical files'),
  offline: offlineOption,
});

/** Returns the variables by name, or a message if the text is not valid. */
function parseKwargs(text: string): Record<string, unknown> | string {
  const expected = `expected a JSON object, such as '{"enable_thinking": false}'`;
  try {
    const parsed = templateVariablesSchema.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    return parsed.error.issues.find(({ code }) => code === 'custom')?.message ?? expected;
  } catch {
    return expected;
  }
}

/** `--log-probabilities` of commands that expand queries, and of the workers that write for them. */
export const logProbabilitiesOption = inGroup('Language model:', {
  logProbabilities: z
    .boolean()
    .optional()
    .describe(
      'record the mean log-probability of the tokens of each text, which the gate reads: slower with the embedded model; texts that exist already stay without',
    ),
});

/** `--force` of every command that writes texts into files. */
export const forceOption = z
  .boolean()
  .default(false)
  .describe('replace an output that was made by another generator or with other settings');

/** Default number of texts that the embedded model writes in parallel. */
const SEQUENCES = 32;
/** Default room for a prompt, in tokens. */
const PROMPT_TOKENS = 512;
/** Strategies with long prompts write fewer texts in parallel: all of them together have this many tokens. */
const CACHED_TOKENS = SEQUENCES * 1024;

const schema = z.object(generatorOptions);
export type GeneratorChoice = z.output<typeof schema>;

interface OpenGeneratorOptions {
  /** Whether one call to a server may request several samples of a prompt. */
  useN?: boolean;
  /** Whether the command's files hold times, which `--deterministic` leaves out also with a server. */
  isTimed?: boolean;
  /** Room for the prompts of a strategy, in tokens. */
  promptTokens?: number | undefined;
  /** Of a call to a server that failed; default that of {@link connectGenerator}. */
  retries?: number | undefined;
  /** Number of texts that the embedded model writes side by side, without `--sequences`. Default 32. */
  sideBySide?: number | undefined;
}

/**
 * Opens what `--generator` names: an embedded model, or one or more servers that serve the same model.
 *
 * @throws UsageError for options that contradict each other, ModelError, NetworkError
 */
export async function openGenerator(
  given: Omit<GeneratorChoice, 'temperature' | 'samples'> & { logProbabilities?: boolean | undefined },
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
  { useN, isTimed, promptTokens, retries, sideBySide = SEQUENCES }: OpenGeneratorOptions = {},
): Promise<Generator> {
  const addresses = given.generator.filter(isServerAddress);
  if (addresses.length === given.generator.length) {
    const { adapter, gpu, context, sequences, threads } = given;
    refuseIdleOptions('the generator', {
      ...{ '--adapter': adapter, '--gpu': gpu, '--context': context, '--sequences': sequences },
      '--threads': threads,
      '--deterministic': isTimed ? undefined : given.deterministic,
    });
    for (const address of addresses) refuseServerOffline(address, given.offline);
    const { model, concurrency, timeout, maxWait, chatTemplateKwargs, logProbabilities } = given;
    const extraBody = chatTemplateKwargs && { chat_template_kwargs: chatTemplateKwargs };
    const limits = { concurrency, timeoutSeconds: timeout, maxWaitSeconds: maxWait, retries };
    const asked = { extraBody, useN, logProbabilities };
    return connectGenerator({ baseUrls: addresses, model, ...limits, ...asked, progress, signal });
  }
  const [name, ...others] = given.generator;
  if (name === undefined || others.length > 0) {
    throw new UsageError('several generators must all be servers', {
      fix: 'Pass one model, or several server addresses.',
    });
  }
  const { model: served, concurrency, timeout } = given;
  refuseServerOptions('the generator', { '--model': served, '--concurrency': concurrency, '--timeout': timeout });
  refuseWithoutLlama();
  const store = new ModelStore({ offline: given.offline, progress });
  const model = await store.resolve(name, { kind: 'generator', formats: ['gguf'], signal });
  const contextSize = given.context ?? given.maxTokens + (promptTokens ?? PROMPT_TOKENS);
  const atOnce = promptTokens === undefined ? sideBySide : Math.floor(CACHED_TOKENS / contextSize);
  return loadGenerator(model, {
    sequences: given.sequences ?? Math.max(1, Math.min(sideBySide, atOnce)),
    threads: given.threads ?? availableParallelism(),
    contextSize,
    adapters: await resolveAdapters(given, { signal, progress }),
    chatTemplateKwargs: given.chatTemplateKwargs,
    deterministic: given.deterministic,
    logProbabilities: given.logProbabilities,
    gpu: given.gpu ? 'auto' : false,
    progress,
    signal,
  });
}

async function resolveAdapters(
  { adapter, offline }: Pick<GeneratorChoice, 'adapter' | 'offline'>,
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<{ path: string }[]> {
  const paths = [];
  for (const name of adapter) paths.push({ path: await resolveAdapter(name, { offline, signal, progress }) });
  return paths;
}

/** Returns the sampling settings among the options. */
export function samplingOf({
  temperature,
  topP,
  topK,
  maxTokens,
}: Pick<GeneratorChoice, 'temperature' | 'topP' | 'topK' | 'maxTokens'>) {
  return { temperature, topP, topK, maxTokens };
}

/** Returns the chosen prompt: a published one, or the user's own. @throws DataError, UsageError */
export async function choosePrompt({
  task,
  prompt,
}: Pick<GeneratorChoice, 'task' | 'prompt'>): Promise<PromptTemplate> {
  return prompt === undefined ? PROMPTS[task] : readPrompt(prompt);
}

/**
 * Refuses prompts that read the gold document: an expansion would contain what the search looks for.
 * @param what the command, as the subject of a sentence
 * @throws UsageError
 */
export function refuseDocuments(prompt: PromptTemplate, what: string): void {
  if (!prompt.needsDocument) return;
  throw new UsageError(`prompt ${prompt.name} reads the gold document of a query, which ${what} never uses`, {
    fix: 'Use q2d, q2q, q2e or q2c, or a prompt without {document}.',
  });
}
