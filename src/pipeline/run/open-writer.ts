import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { connectGenerator, type Generator, loadGenerator, servedModels, WRITERS_FORMAT } from '../../generate/index.ts';
import { exportGguf, makeConvertedCopy, type ResolvedModel } from '../../models/index.ts';
import { CacheKind, refuseServerOffline, UsageError } from '../../system/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { InputOptions } from './alignment-inputs.ts';
import { loadCheck, type RecipeCheck } from './recipe-checks.ts';

/** A model, or servers, that write texts; see `generator` and `answerGenerator` in a recipe. */
type Writer = Pick<
  Recipe['generator'],
  'servers' | 'serverModel' | 'concurrency' | 'sequences' | 'context' | 'gpu' | 'chatTemplateKwargs'
>;

/** Tokens reserved for a prompt if the recipe does not set the context. */
const PROMPT_ROOM = 512;

/**
 * Opens the writer of texts of at most `maxTokens` tokens: the servers if there are any, otherwise the embedded
 * runtime.
 */
export async function openWriter(
  writer: Writer,
  model: ResolvedModel | undefined,
  maxTokens: number,
  { signal, progress, threads, offline }: InputOptions,
): Promise<Generator> {
  if (writer.servers.length > 0) {
    refuseServerOffline(writer.servers[0]!, offline);
    const { servers: baseUrls, serverModel, concurrency } = writer;
    const extraBody = templateBody(writer);
    return connectGenerator({ baseUrls, model: serverModel, concurrency, extraBody, useN: true, progress, signal });
  }
  return openEmbedded(writer, model!, maxTokens, { signal, progress, threads });
}

/** The variables of the chat template, in the form in which servers accept them. */
export function templateBody({ chatTemplateKwargs }: Pick<Writer, 'chatTemplateKwargs'>) {
  return chatTemplateKwargs && { chat_template_kwargs: chatTemplateKwargs };
}

/** Checks whether a writer can be opened: servers must list the model; an embedded model is loaded and closed again. */
export function writerCheck(
  input: string,
  writer: Writer,
  model: ResolvedModel | undefined,
  maxTokens: number,
  options: InputOptions,
): RecipeCheck {
  const { servers: baseUrls, serverModel } = writer;
  if (baseUrls.length === 0) return loadCheck(input, () => openEmbedded(writer, model!, maxTokens, options));
  return {
    input,
    async find() {
      refuseServerOffline(baseUrls[0]!, options.offline);
      for (const [url, names] of await servedModels({ baseUrls, signal: options.signal })) {
        if (serverModel === undefined || names.includes(serverModel)) continue;
        throw new UsageError(`${url} serves no model ${JSON.stringify(serverModel)}`, {
          fix: `Load the model there, or set serverModel to one that it lists: ${names.slice(0, 20).join(', ')}.`,
        });
      }
      return baseUrls.join(', ');
    },
  };
}

/** Opens the embedded runtime, optionally with an adapter. */
export async function openEmbedded(
  { sequences, context, gpu, chatTemplateKwargs }: Pick<Writer, 'sequences' | 'context' | 'gpu' | 'chatTemplateKwargs'>,
  model: ResolvedModel,
  maxTokens: number,
  { signal, progress, threads = availableParallelism() }: InputOptions,
  adapter?: string,
): Promise<Generator> {
  const { name, fingerprint } = model;
  const path = await ggufOf(model, { signal, progress });
  return loadGenerator(
    { name, fingerprint, path },
    {
      ...{ sequences, threads, chatTemplateKwargs, signal },
      contextSize: contextOf({ context }, maxTokens),
      adapters: adapter === undefined ? [] : [{ path: adapter }],
      gpu: gpu ? 'auto' : false,
      progress,
    },
  );
}

/**
 * Context size of the embedded runtime: the tokens of prompt and text together. Documents and texts are truncated to
 * it.
 */
export function contextOf({ context }: Pick<Writer, 'context'>, maxTokens: number): number {
  return context ?? maxTokens + PROMPT_ROOM;
}

/** Increase it when the same model would give another file. */
const FORMAT = 1;

export const GGUF_CACHE = new CacheKind({ name: 'gguf', format: FORMAT, what: 'LLMs converted to GGUF' });

/** The GGUF file of a model: its own, or the path of the converted copy of a model in Transformers' layout. */
export function ggufFile({ path, fingerprint }: Pick<ResolvedModel, 'path' | 'fingerprint'>): string {
  return path.endsWith('.gguf') ? path : join(GGUF_CACHE.folder(), `${fingerprint}.gguf`);
}

/** Returns the same file, after writing it if it is missing. */
async function ggufOf(model: ResolvedModel, { signal, progress }: InputOptions): Promise<string> {
  const file = ggufFile(model);
  if (file === model.path) return file;
  await makeConvertedCopy(file, () => exportGguf(file, { base: model.path, signal, progress }), { signal, progress });
  await GGUF_CACHE.note(file, model.name);
  return file;
}

/**
 * The part of a key that identifies a writer. A server is identified by the name of its model, or by its address if
 * there is none: its weights and context are unknown.
 */
export function writerKey(
  writer: Pick<
    NonNullable<Recipe['answerGenerator']>,
    'servers' | 'serverModel' | 'model' | 'context' | 'gpu' | 'chatTemplateKwargs'
  >,
  model: ResolvedModel | undefined,
  maxTokens: number,
): Record<string, unknown> {
  const { chatTemplateKwargs } = writer;
  const common = { writers: WRITERS_FORMAT, chatTemplateKwargs };
  if (writer.servers.length > 0) return { ...common, served: writer.serverModel ?? writer.model ?? writer.servers };
  return { ...common, model: model?.fingerprint, context: contextOf(writer, maxTokens), gpu: writer.gpu || undefined };
}
