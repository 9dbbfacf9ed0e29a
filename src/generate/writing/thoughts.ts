/** How one family of models marks its thoughts. The patterns ignore case. */
interface ThoughtMarks {
  /** Ends a thought. It can occur without an opening because some chat templates open the thought inside the prompt. */
  closing: RegExp;
  /** Begins a thought. */
  opening: RegExp;
}

/** `<think>` and its variants: DeepSeek-R1, Qwen3, GLM, Phi-4, EXAONE Deep, Seed-OSS, and prompts that request such tags. */
const TAGS =
  '(?:seed:|ant)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|cot|chain[_ -]of[_ -]thoughts?|(?:inner|internal)[_ -]?(?:thoughts?|monologue|reasoning))';

/** Angle brackets, which some servers escape. */
const [LEFT, RIGHT] = ['(?:<|&lt;|\\\\u003c)', '(?:>|&gt;|\\\\u003e)'];

const MARKS: readonly ThoughtMarks[] = [
  {
    closing: new RegExp(`${LEFT}\\s*/\\s*${TAGS}\\s*${RIGHT}`, 'gi'),
    opening: new RegExp(`${LEFT}\\s*${TAGS}(?:\\s[^<>&]*)?${RIGHT}`, 'gi'),
  },
  // Mistral's Magistral.
  { closing: /\[\/THINK\]/gi, opening: /\[THINK\]/gi },
  // Kimi-VL.
  { closing: /◁\/think▷/gi, opening: /◁think▷/gi },
  // Cohere's Command A Reasoning.
  { closing: /<\|END_THINKING\|>/gi, opening: /<\|START_THINKING\|>/gi },
  { closing: /<\|end_of_thought\|>/gi, opening: /<\|begin_of_thought\|>/gi },
  // Gemma.
  { closing: /<channel\|>/gi, opening: /<\|channel>\s*thought\b/gi },
  // gpt-oss: the answer follows the last header of the channel `final`.
  {
    closing: /<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>/gi,
    opening: /(?:<\|start\|>[^<]*)?<\|channel\|>\s*(?:analysis|commentary)\b/gi,
  },
];

/** gpt-oss as servers show it that drop its special tokens: `analysisWe need ...assistantfinalA lighthouse ...`. */
const GLUED = { opening: /^\s*analysis(?=[A-Z"'`])/, closing: /assistant\s*final(?=\S)/g };

/** Marks around an answer that remain when its thoughts are gone. */
const WRAPPING = [
  /^\s*(?:<\|begin_of_solution\|>|<\|START_(?:RESPONSE|TEXT)\|>|<(?:answer|response)>)\s*/i,
  /(?:<\|(?:end_of_solution|call)\|>|<\|END_(?:RESPONSE|TEXT)\|>|<\/(?:answer|response)>)\s*$/i,
];

/** Marks of the end of a turn, which some servers leave in a text. */
const END_OF_TURN =
  /(?:(?:<\|(?:im_end|eot_id|end_of_text|endoftext|end|return|END_OF_TURN_TOKEN)\|>|<end_of_turn>|<turn\|>|<｜end▁of▁sentence｜>|<\/s>)\s*)+$/i;
/** Only this much of the end is searched for them: a long text of nothing but marks would take minutes. */
const LONGEST_END = 200;

/** A text without the thoughts of a reasoning model. */
export interface ThoughtlessText {
  text: string;
  /** Whether the model ended inside a thought: then everything it wrote is thought, and the text is empty. */
  unfinished: boolean;
}

/**
 * Cuts the thoughts of a reasoning model: the answer is what follows the last closing mark. If a thought was opened and never
 * closed, there is no answer, and the text is empty. A passage that only mentions such a tag is kept, unless it begins with it.
 */
export function cutThoughts(raw: string): ThoughtlessText {
  const end = Math.max(0, raw.length - LONGEST_END);
  return cut(raw.slice(0, end) + raw.slice(end).replace(END_OF_TURN, ''));
}

function cut(written: string): ThoughtlessText {
  const glued = GLUED.opening.test(written);
  const ends = MARKS.map(({ closing }) => endOfLast(closing, written));
  if (glued) ends.push(endOfLast(GLUED.closing, written));
  const end = Math.max(...ends);
  if (end < 0)
    return { text: opensThought(written) || glued ? '' : written, unfinished: opensThought(written) || glued };
  const rest = written.slice(end);
  // A model that has thought before uses the tag as a mark: what follows it is not an answer.
  if (MARKS.some(({ opening }) => endOfLast(opening, rest) >= 0)) return { text: '', unfinished: true };
  return { text: WRAPPING.reduce((text, mark) => text.replace(mark, ''), rest), unfinished: false };
}

function opensThought(text: string): boolean {
  return MARKS.some(({ opening }) => {
    const first = text.matchAll(opening).next().value;
    return first !== undefined && text.slice(0, first.index).trim() === '';
  });
}

/** Returns the end of the last match; -1 if there is none. */
function endOfLast(pattern: RegExp, text: string): number {
  let end = -1;
  for (const match of text.matchAll(pattern)) end = match.index + match[0].length;
  return end;
}
