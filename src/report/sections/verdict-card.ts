import { type Comparison, measureInWords, P_IN_WORDS, verdictOn } from '../../evaluate/index.ts';
import { count, direction, pValue, score, signed } from '../figures.ts';
import { labelOf } from '../labels.ts';
import { html, type Markup } from '../markup.ts';

export interface VerdictInputs {
  claim: Comparison;
  /** The measure of the baseline and of the arm. */
  before: number;
  after: number;
  /** Sentences on how the results were made: the expansions, alpha, a small sample. */
  made: readonly string[];
}

/** Renders the head of a comparison: the verdict in words, a card with its numbers, and what they mean. */
export function verdictCard({ claim, before, after, made }: VerdictInputs): Markup {
  const { kind, words, reason } = verdictOn(claim);
  const [baseline, arm] = [labelOf(claim.baseline), labelOf(claim.arm)];
  return html`<p class="verdict ${kind}">${capital(words)}<b>${arm} against ${baseline}</b></p>
<p>${reason}</p>
<div class="card">
<div><b>${score(before)} \u2192 ${score(after)}</b><span>${claim.measure}: ${baseline} to ${arm}</span></div>
<div><b class="${direction(claim.delta)}">${signed(claim.delta)}</b><span>95 % interval ${signed(claim.interval[0])} to ${signed(claim.interval[1])}</span></div>
<div><b><span class="up">${count(claim.helped)}</span> / <span class="down">${count(claim.hurt)}</span> / ${count(claim.unchanged)}</b><span>queries helped / hurt / unchanged</span></div>
<div><b>p ${pValue(claim.holm ?? claim.randomization)}</b><span>${describeTest(claim)}</span></div>
</div>
<p class="soft">${measureInWords(claim.measure)} ${P_IN_WORDS}</p>
${made.map((sentence) => html`<p class="soft">${sentence}</p>`)}`;
}

function describeTest({ holm, randomization, tTest }: Comparison): string {
  const corrected = holm === undefined ? '' : `, with Holm's correction (without it ${pValue(randomization)})`;
  return `paired randomisation test${corrected}; t-test p ${pValue(tTest)}`;
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
