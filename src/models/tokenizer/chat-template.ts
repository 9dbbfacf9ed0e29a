import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { Checkpoint } from '../formats/checkpoint-contract.ts';
import { readIfPresent } from '../formats/model-text-file.ts';
import { runBounded } from './bounded-work.ts';
import { REPLACEMENTS, replaceFunctions } from './template-functions.ts';
import type { TextTokenizer } from './tokenizer.ts';

/** Beyond any that was published; the largest have some 20,000 characters. */
const LONGEST_TEMPLATE = 1 << 20;
/** What a template may add to the messages, in characters. */
const LONGEST_PROMPT = 1 << 20;

/** One message, as every chat model's template reads it. */
export interface TemplateMessage {
  role: string;
  content: string;
}

/** The special tokens a template can write, and whether the model wants a BOS that the template may leave out. */
export interface TemplateTokens {
  bos?: string | undefined;
  eos?: string | undefined;
  /** The tokenizer's `add_bos_token`: a prompt must begin with BOS. */
  addBos?: boolean | undefined;
  /** Where the template was read, for error messages. */
  file?: string | undefined;
}

export interface RenderOptions {
  /** Ends the text where the assistant's answer begins. */
  addGenerationPrompt: boolean;
  /** More variables for the template, such as `date_string` (fixes the date that Llama 3.1's writes) or `enable_thinking`. */
  variables?: Readonly<Record<string, unknown>>;
}

/**
 * A model's chat template (Jinja, as Transformers has them), with `bos_token`, `eos_token`, `raise_exception` and
 * `strftime_now`; `tools` and `documents` are none. A template comes with the model, so its time and its output are bounded.
 *
 * BOS once and only once: many templates write it themselves. So a rendered prompt is always tokenised without special
 * tokens being added ({@link tokenizePrompt}), and {@link renderPrompt} puts BOS before it where the model wants one and
 * the template wrote none.
 */
export class ChatTemplate {
  /** The template as it was written. */
  readonly source: string;
  readonly tokens: TemplateTokens;
  readonly #template: Template;

  /** @throws ModelError where the template cannot be parsed */
  constructor(template: string, tokens: TemplateTokens) {
    this.source = template;
    this.tokens = tokens;
    this.#template = attempt(tokens.file, 'the chat template cannot be parsed', () => {
      if (template.length > LONGEST_TEMPLATE) throw new Error(`it has ${template.length} characters`);
      return new Template(template);
    });
    replaceFunctions(this.#template);
  }

  /**
   * What the template makes of the messages, to the letter.
   * @throws ModelError where the template refuses them (`raise_exception`: a role it does not know, two questions in a row)
   */
  render(messages: readonly TemplateMessage[], { addGenerationPrompt, variables }: RenderOptions): string {
    const longest = LONGEST_PROMPT + 2 * messages.reduce((sum, { content }) => sum + content.length, 0);
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
      if (text.length > longest) throw new Error(`it makes ${text.length} characters of them`);
      return text;
    });
  }

  /** The text that the model is to go on from, BOS included where it wants one. Tokenise it without special tokens. */
  renderPrompt(messages: readonly TemplateMessage[], variables?: Readonly<Record<string, unknown>>): string {
    const text = this.render(messages, { addGenerationPrompt: true, ...(variables && { variables }) });
    const { bos, addBos } = this.tokens;
    return addBos && bos !== undefined && !text.startsWith(bos) ? bos + text : text;
  }
}

/** Token ids of a rendered prompt: special tokens that it holds are recognised, and none are added. */
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
 * The chat template of a model folder: `chat_template.jinja` (it has precedence, as in Transformers), or the one in
 * `tokenizer_config.json`; of several named ones, "default".
 * @returns undefined where the model has none
 * @throws ModelError where the files are broken
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

/**
 * The chat template inside a GGUF file.
 * @returns undefined where it has none
 */
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
