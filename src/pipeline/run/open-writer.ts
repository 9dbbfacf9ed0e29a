import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { connectGenerator, type Generator, loadGenerator, servedModels, WRITERS_FORMAT } from '../../generate/index.ts';
import { exportGguf, makeConvertedCopy, type ResolvedModel } from '../../models/index.ts';
import { CacheKind, refuseServerOffline, UsageError } from '../../system/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { InputOptions } from './alignment-inputs.ts';
import { loadCheck, type RecipeCheck } from './recipe-checks.ts';

/** A model, or servers, that write; see `generator` and `answerGenerator` of a recipe. */
type Writer = Pick<Recipe['generator'], 'servers' | 'serverModel' | 'concurrency' | 'sequences' | 'context' | 'gpu'>;

/** Tokens of a prompt that are reckoned with if the recipe does not say. */
const PROMPT_ROOM = 512;

/** Opens what writes texts of at most `maxTokens` tokens: the servers if there are some, else the embedded runtime. */
export async function openWriter(
  writer: Writer,
  model: ResolvedModel | undefined,
  maxTokens: number,
  { signal, progress, threads, offline }: InputOptions,
): Promise<Generator> {
  if (writer.servers.length > 0) {
    refuseServerOffline(writer.servers[0]!, offline);
    const { servers: baseUrls, serverModel, concurrency } = writer;
    return connectGenerator({ baseUrls, model: serverModel, concurrency, useN: true, progress, signal });
  }
  return openEmbedded(writer, model!, maxTokens, { signal, progress, threads });
}

/** Whether a writer can be opened: servers are reached and asked for their models, a model is loaded and closed again. */
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
          fix: `Load it there, or set serverModel to what it lists: ${names.slice(0, 20).join(', ')}.`,
        });
      }
      return baseUrls.join(', ');
    },
  };
}

/** Opens the embedded runtime, with an adapter if one is given. */
export async function openEmbedded(
  { sequences, context, gpu }: Pick<Writer, 'sequences' | 'context' | 'gpu'>,
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
      ...{ sequences, threads, signal },
      contextSize: contextOf({ context }, maxTokens),
      adapters: adapter === undefined ? [] : [{ path: adapter }],
      gpu: gpu ? 'auto' : false,
      progress,
    },
  );
}

/** Tokens that prompt and text may have together in the embedded runtime: documents and texts are cut to it. */
export function contextOf({ context }: Pick<Writer, 'context'>, maxTokens: number): number {
  return context ?? maxTokens + PROMPT_ROOM;
}

/** Raise it if the same model would give another file. */
const FORMAT = 1;

export const GGUF_CACHE = new CacheKind({ name: 'gguf', format: FORMAT, what: 'LLMs converted to GGUF' });

/** The GGUF file of a model: its own, or where one stands, or will, for a model in Transformers' layout. */
export function ggufFile({ path, fingerprint }: Pick<ResolvedModel, 'path' | 'fingerprint'>): string {
  return path.endsWith('.gguf') ? path : join(GGUF_CACHE.folder(), `${fingerprint}.gguf`);
}

/** The same, written if it is missing. */
async function ggufOf(model: ResolvedModel, { signal, progress }: InputOptions): Promise<string> {
  const file = ggufFile(model);
  if (file === model.path) return file;
  await makeConvertedCopy(file, () => exportGguf(file, { base: model.path, signal, progress }), { signal, progress });
  await GGUF_CACHE.note(file, model.name);
  return file;
}

/**
 * What names a writer in a key. A server is known by its model's name alone, or by its address if none is given: nobody can
 * tell its weights and its context.
 */
export function writerKey(
  writer: Pick<NonNullable<Recipe['answerGenerator']>, 'servers' | 'serverModel' | 'model' | 'context' | 'gpu'>,
  model: ResolvedModel | undefined,
  maxTokens: number,
): Record<string, unknown> {
  const writers = WRITERS_FORMAT;
  if (writer.servers.length > 0) return { writers, served: writer.serverModel ?? writer.model ?? writer.servers };
  return { writers, model: model?.fingerprint, context: contextOf(writer, maxTokens), gpu: writer.gpu || undefined };
}
