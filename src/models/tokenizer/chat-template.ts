import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { Checkpoint } from '../formats/checkpoint-contract.ts';
import { readIfPresent } from '../formats/model-text-file.ts';
import { runBounded } from './bounded-work.ts';
import { REPLACEMENTS, replaceFunctions } from './template-functions.ts';
import { checkTemplateVariables } from './template-variables.ts';
import type { TextTokenizer } from './tokenizer.ts';

/** Longer than any published template; the longest have about 20,000 characters. */
const MAX_TEMPLATE_LENGTH = 1 << 20;
/** The maximum number of characters that a template may add to the messages. */
const MAX_PROMPT_LENGTH = 1 << 20;

/** One message, in the form that every chat template reads. */
export interface TemplateMessage {
  role: string;
  content: string;
}

/** The special tokens that a template can write, and whether the model needs a BOS that the template may omit. */
export interface TemplateTokens {
  bos?: string | undefined;
  eos?: string | undefined;
  /** The tokenizer's `add_bos_token`: whether a prompt must begin with BOS. */
  addBos?: boolean | undefined;
  /** The path of the template, for error messages. */
  file?: string | undefined;
}

export interface RenderOptions {
  /** Whether to end the text where the assistant's answer begins. */
  addGenerationPrompt: boolean;
  /**
   * More variables for the template, such as `date_string` (fixes the date that Llama 3.1's template writes) or
   * `enable_thinking`.
   */
  variables?: Readonly<Record<string, unknown>>;
}

/**
 * A model's chat template (Jinja, as in Transformers), with `bos_token`, `eos_token`, `raise_exception` and
 * `strftime_now`; `tools` and `documents` are none. Templates are untrusted, so time and output are bounded.
 *
 * A prompt needs exactly one BOS, and many templates write it. So {@link renderPrompt} adds BOS only if the model needs
 * it and the template omits it, and {@link tokenizePrompt} adds no special tokens.
 */
export class ChatTemplate {
  /** The source text of the template. */
  readonly source: string;
  readonly tokens: TemplateTokens;
  readonly #template: Template;

  /** @throws ModelError if the template cannot be parsed */
  constructor(template: string, tokens: TemplateTokens) {
    this.source = template;
    this.tokens = tokens;
    this.#template = attempt(tokens.file, 'the chat template cannot be parsed', () => {
      if (template.length > MAX_TEMPLATE_LENGTH) throw new Error(`it has ${template.length} characters`);
      return new Template(template);
    });
    replaceFunctions(this.#template);
  }

  /**
   * Renders the messages, exactly as the template writes them.
   * @throws ModelError if the template refuses them (`raise_exception`: an unknown role, two user messages in a row);
   * UsageError if a variable has a reserved name
   */
  render(messages: readonly TemplateMessage[], { addGenerationPrompt, variables }: RenderOptions): string {
    checkTemplateVariables(variables ?? {});
    const longest = MAX_PROMPT_LENGTH + 2 * messages.reduce((sum, { content }) => sum + content.length, 0);
    return attempt(this.tokens.file, 'the chat template refuses the messages', () => {
      const text = this.#template.render({
        tools: null,
        documents: null,
        ...REPLACEMENTS,
        ...variables,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
        bos_token: this.tokens.bos ?? '',
        eos_token: this.tokens.eos ?? '',
      });
      if (text.length > longest) throw new Error(`it produces ${text.length} characters`);
      return text;
    });
  }

  /**
   * Renders the prompt that the model continues, with BOS if the model needs one. Tokenise it without adding special
   * tokens.
   */
  renderPrompt(messages: readonly TemplateMessage[], variables?: Readonly<Record<string, unknown>>): string {
    const text = this.render(messages, { addGenerationPrompt: true, ...(variables && { variables }) });
    const { bos, addBos } = this.tokens;
    return addBos && bos !== undefined && !text.startsWith(bos) ? bos + text : text;
  }
}

/** Returns the token ids of a rendered prompt. Special tokens in it are recognised; none are added. */
export async function tokenizePrompt(tokenizer: TextTokenizer, prompt: string): Promise<Int32Array> {
  const [ids] = await tokenizer.encodeBatch([prompt], { maxLength: 2 ** 31 - 1, addSpecialTokens: false });
  return ids!;
}

function attempt<T>(file: string | undefined, reason: string, work: () => T): T {
  try {
    return runBounded(work);
  } catch (cause) {
    throw new ModelError(`${reason} (${cause instanceof Error ? cause.message : cause})`, {
      file,
      fix: 'Check the roles and their order, or use a model with another chat template.',
      cause,
    });
  }
}

const TokenSchema = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);
const NamedTemplatesSchema = z.array(z.object({ name: z.string(), template: z.string() }));
const ConfigSchema = z.object({
  chat_template: z.union([z.string(), NamedTemplatesSchema]).nullish(),
  bos_token: TokenSchema.nullish(),
  eos_token: TokenSchema.nullish(),
  add_bos_token: z.boolean().nullish(),
});

/**
 * Loads the chat template of a model folder: `chat_template.jinja`, or else the one in `tokenizer_config.json` (the
 * order of Transformers). Of several named templates, loads "default".
 * @returns undefined if the model has none
 * @throws ModelError if the files are broken
 */
export async function loadChatTemplate(folder: string): Promise<ChatTemplate | undefined> {
  const file = join(folder, 'tokenizer_config.json');
  const config = parseConfig(file, (await readIfPresent(file)) ?? '{}');
  const template = (await readIfPresent(join(folder, 'chat_template.jinja'))) ?? defaultTemplate(config.chat_template);
  if (template === undefined) return undefined;
  return new ChatTemplate(template, {
    bos: config.bos_token ?? undefined,
    eos: config.eos_token ?? undefined,
    addBos: config.add_bos_token ?? undefined,
    file: folder,
  });
}

/** Reads the chat template in a GGUF file. @returns undefined if it has none */
export function ggufChatTemplate(checkpoint: Checkpoint): ChatTemplate | undefined {
  const metadata = checkpoint.metadata();
  const template = metadata['tokenizer.chat_template'];
  if (typeof template !== 'string') return undefined;
  const vocabulary = metadata['tokenizer.ggml.tokens'];
  const token = (key: string): string | undefined => {
    const text = Array.isArray(vocabulary) ? vocabulary[Number(metadata[key] ?? -1)] : undefined;
    return typeof text === 'string' ? text : undefined;
  };
  return new ChatTemplate(template, {
    bos: token('tokenizer.ggml.bos_token_id'),
    eos: token('tokenizer.ggml.eos_token_id'),
    addBos: metadata['tokenizer.ggml.add_bos_token'] === true,
    file: checkpoint.path,
  });
}

function parseConfig(file: string, text: string): z.output<typeof ConfigSchema> {
  try {
    return ConfigSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('is not a tokenizer configuration', { file, fix: 'Download the file again.', cause });
  }
}

function defaultTemplate(written: z.output<typeof ConfigSchema>['chat_template']): string | undefined {
  if (written == null || typeof written === 'string') return written ?? undefined;
  return (written.find(({ name }) => name === 'default') ?? written[0])?.template;
}
