/** How one family of models marks its thoughts. The patterns tell nothing of upper and lower case. */
interface ThoughtMarks {
  /** Ends a thought; it may stand without its opening, since some chat templates open the thought inside the prompt. */
  closing: RegExp;
  /** Begins a thought. */
  opening: RegExp;
}

/** `<think>` and its relatives: DeepSeek-R1, Qwen3, GLM, Phi-4, EXAONE Deep, Seed-OSS, and prompts that ask for such tags. */
const TAGS = '(?:seed:)?(?:think|thinking|thought|reasoning)';

const MARKS: readonly ThoughtMarks[] = [
  { closing: new RegExp(`<\\s*/\\s*${TAGS}\\s*>`, 'gi'), opening: new RegExp(`<\\s*${TAGS}(?:\\s[^<>]*)?>`, 'gi') },
  // Mistral's Magistral.
  { closing: /\[\/THINK\]/gi, opening: /\[THINK\]/gi },
  // Kimi-VL.
  { closing: /◁\/think▷/gi, opening: /◁think▷/gi },
  // Cohere's Command A Reasoning.
  { closing: /<\|END_THINKING\|>/gi, opening: /<\|START_THINKING\|>/gi },
  { closing: /<\|end_of_thought\|>/gi, opening: /<\|begin_of_thought\|>/gi },
  // gpt-oss: the last header of the channel `final` is followed by the answer.
  {
    closing: /<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>/gi,
    opening: /(?:<\|start\|>[^<]*)?<\|channel\|>\s*(?:analysis|commentary)\b/gi,
  },
];

/** gpt-oss again, as servers show it that leave its special tokens out: `analysisWe need ...assistantfinalA lighthouse ...`. */
const GLUED = { opening: /^\s*analysis(?=[A-Z"'`])/, closing: /assistant\s*final(?=\S)/g };

/** What stands around an answer once its thoughts are gone. */
const WRAPPING = [/^\s*<\|begin_of_solution\|>/i, /<\|(?:end_of_solution|return|end|call)\|>\s*$/i];

/** A text without the thoughts of a reasoning model. */
export interface ThoughtlessText {
  text: string;
  /** Whether the model ended inside a thought: all that it wrote is thought, and the text is empty. */
  unfinished: boolean;
}

/**
 * Cuts the thoughts of a reasoning model: what counts is what stands behind the last mark that closes one. Where a thought was
 * opened and never closed there is no answer, and the text is empty. A passage that merely names such a tag stays whole, unless
 * it begins with it.
 */
export function cutThoughts(written: string): ThoughtlessText {
  const glued = GLUED.opening.test(written);
  const ends = MARKS.map(({ closing }) => endOfLast(closing, written));
  if (glued) ends.push(endOfLast(GLUED.closing, written));
  const end = Math.max(...ends);
  if (end < 0)
    return { text: opensThought(written) || glued ? '' : written, unfinished: opensThought(written) || glued };
  const rest = written.slice(end);
  // A model that has thought before means the tag: what follows it is no answer.
  if (MARKS.some(({ opening }) => endOfLast(opening, rest) >= 0)) return { text: '', unfinished: true };
  return { text: WRAPPING.reduce((text, mark) => text.replace(mark, ''), rest), unfinished: false };
}

function opensThought(text: string): boolean {
  return MARKS.some(({ opening }) => {
    const first = text.matchAll(opening).next().value;
    return first !== undefined && text.slice(0, first.index).trim() === '';
  });
}

/** Where the last match ends; -1 where there is none. */
function endOfLast(pattern: RegExp, text: string): number {
  let end = -1;
  for (const match of text.matchAll(pattern)) end = match.index + match[0].length;
  return end;
}
