import { basename } from 'node:path';
import { DEFAULT_GENERATOR } from '../models/index.ts';
import type { ExpansionFacts } from '../report/index.ts';
import type { CommandContext } from './command.ts';

/** The default LLM shows the mechanism on the demo's data and does harm elsewhere. */
const WARNING = `the expansions are by the default LLM, which has only 135 million parameters. It suits the WordNet data of the demo, but on another corpus it made nDCG@10 fall from .434 to .378. Use a larger one: --generator llama-3-8b-instruct-gguf, another .gguf file, or the address of a server. \`llm-qe try\` shows what an LLM does on your data`;

/** Warns if the unaligned default LLM writes, or wrote, expansions for a corpus other than the demo's. */
export function warnOfDefaultWriter(
  facts: Pick<ExpansionFacts, 'generator' | 'adapters'> | undefined,
  corpus: { folder?: string } | string,
  context: Pick<CommandContext, 'warn'>,
): void {
  const place = typeof corpus === 'string' ? corpus : (corpus.folder ?? '');
  if (isDefaultWriter(facts) && !/wordnet/i.test(basename(place))) context.warn(WARNING);
}

/** Whether the default LLM wrote, without an adapter. */
export function isDefaultWriter(facts: Pick<ExpansionFacts, 'generator' | 'adapters'> | undefined): boolean {
  return facts?.generator === DEFAULT_GENERATOR && (facts.adapters ?? []).length === 0;
}
