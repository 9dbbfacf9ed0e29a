import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type ChatTemplate,
  type Checkpoint,
  ggufChatTemplate,
  hfCheckpointOfGguf,
  hfConfigOfGguf,
  hfTokenizerFiles,
  loadChatTemplate,
  loadTokenizer,
  openCheckpoint,
  type ResolvedModel,
  readModelJson,
  type TextTokenizer,
} from '../../models/index.ts';
import { type LlamaConfig, llamaConfigSchema } from '../../nn/index.ts';
import { ModelError } from '../../system/index.ts';

/** A chat model to train: its weights under Transformers' names, its tokenizer and its chat template. */
export interface GeneratorBase {
  name: string;
  fingerprint: string;
  checkpoint: Checkpoint;
  config: LlamaConfig;
  tokenizer: TextTokenizer;
  template: ChatTemplate;
  /** The token that ends an answer, if the model names one. */
  endId: number | undefined;
  close(): Promise<void>;
}

/**
 * Opens a chat model of the Llama family: a Transformers folder, or a GGUF file.
 * @throws ModelError if it is broken, of another family, or has no chat template
 */
export async function openGeneratorBase(model: ResolvedModel): Promise<GeneratorBase> {
  const opened = await openCheckpoint(model.path);
  try {
    const parts = await (opened.path.endsWith('.gguf') ? partsOfGguf(opened) : partsOfFolder(opened, model.path));
    const { config, tokenizer, template } = parts;
    if (template === undefined) {
      throw new ModelError('has no chat template', { file: model.path, fix: 'Use a model that was trained to chat.' });
    }
    const { name, fingerprint } = model;
    const { eos } = template.tokens;
    const endId = eos === undefined ? undefined : tokenizer.tokenId(eos);
    const { checkpoint } = parts;
    return { name, fingerprint, checkpoint, config, tokenizer, template, endId, close: () => checkpoint.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

interface Parts {
  checkpoint: Checkpoint;
  config: LlamaConfig;
  tokenizer: TextTokenizer;
  template: ChatTemplate | undefined;
}

async function partsOfGguf(gguf: Checkpoint): Promise<Parts> {
  return {
    checkpoint: hfCheckpointOfGguf(gguf),
    config: parseConfig(gguf.path, await hfConfigOfGguf(gguf)),
    tokenizer: await tokenizerOfGguf(gguf),
    template: ggufChatTemplate(gguf),
  };
}

async function partsOfFolder(checkpoint: Checkpoint, path: string): Promise<Parts> {
  const folder = (await stat(path)).isDirectory() ? path : dirname(path);
  const file = join(folder, 'config.json');
  return {
    checkpoint,
    config: parseConfig(file, await readModelJson(file)),
    tokenizer: await loadTokenizer(folder),
    template: await loadChatTemplate(folder),
  };
}

/** Writes the tokenizer's files into a temporary folder, because a tokenizer is loaded from a folder. */
async function tokenizerOfGguf(gguf: Checkpoint): Promise<TextTokenizer> {
  const folder = await mkdtemp(join(tmpdir(), 'llm-qe-tokenizer-'));
  try {
    for (const [name, content] of hfTokenizerFiles(gguf)) await writeFile(join(folder, name), JSON.stringify(content));
    return await loadTokenizer(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function parseConfig(file: string, raw: unknown): LlamaConfig {
  const parsed = llamaConfigSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ModelError(`${path.join('.')}: ${message}`, {
    file,
    fix: 'Use a dense model of the Llama, Mistral, Qwen2, Qwen2.5 or Qwen3 family.',
    cause: parsed.error,
  });
}
