import type { AuditExample, AuditQuote, Distribution, RewardAudit } from '../reward/index.ts';
import { writeDurably } from '../system/index.ts';
import { dataTable } from './data-table.ts';
import { count, percent, shorten } from './figures.ts';
import { histogram } from './histogram.ts';
import { html, type Markup } from './markup.ts';
import { type Section, wholePage } from './whole-page.ts';

const SHOWN_CHARACTERS = 700;

/** Writes the audit of rewards and pairs as a page that needs nothing else. */
export async function writeAuditPage(file: string, audit: RewardAudit): Promise<void> {
  await writeDurably(file, renderAuditPage(audit));
}

/** The audit of rewards and pairs as one HTML file, in the style of the evaluation's report. */
export function renderAuditPage(audit: RewardAudit): string {
  const { rewarding } = audit;
  const lead = html`<p class="soft">${count(audit.candidates.count)} candidates of ${count(audit.queries.all)} queries${rewarding === undefined ? '' : `, rewarded by ${describeMixture(rewarding.rewards)}; similarities are cosines of ${rewarding.encoder.id}`}.</p>
${verdict(audit)}${card(audit)}`;
  return wholePage({ title: 'Rewards and pairs', lead, sections: partsOf(audit) });
}

/** The same as sections of a larger report. */
export function auditSections(audit: RewardAudit): Section[] {
  return [{ title: 'Rewards and pairs', body: html`${verdict(audit)}${card(audit)}` }, ...partsOf(audit)];
}

function partsOf(audit: RewardAudit): Section[] {
  return [
    { title: 'What became of the queries', body: queryTable(audit) },
    { title: 'What the candidates earned', body: html`${rewardPlots(audit)}${temperatureTable(audit)}` },
    { title: 'Chosen against rejected', body: sidePlots(audit) },
    { title: 'Leaks', body: leaks(audit) },
    {
      title: 'Pairs to look at',
      body: html`<p class="soft">A sample drawn by a hash of their ids, not the best ones.</p>${audit.examples.map(example)}`,
    },
  ];
}

/** Pairs below which a preference training has little to learn from; half of the queries, and a leak in every tenth candidate. */
const [FEW_PAIRS, FEW_KEPT, MUCH_QUOTED, MUCH_LONGER] = [100, 0.5, 0.1, 0.7];

/** What the audit comes to, in words: the doubts it raises, or that it raises none. */
function verdict({ pairs, queries, candidates, sides }: RewardAudit): Markup {
  const doubts = [
    pairs.train < FEW_PAIRS && `only ${count(pairs.train)} pairs to train on`,
    queries.kept < FEW_KEPT * queries.all && `fewer than half of the queries give a pair`,
    candidates.quoting > MUCH_QUOTED && `${percent(candidates.quoting)} of the candidates quote the gold document`,
    sides.chosenLonger > MUCH_LONGER && `the chosen side is longer in ${percent(sides.chosenLonger)} of the pairs`,
    sides.chosenShorter > MUCH_LONGER && `the chosen side is shorter in ${percent(sides.chosenShorter)} of the pairs`,
  ].filter((doubt) => doubt !== false);
  const words = doubts.length === 0 ? 'No warning signs in these pairs' : `Look before you train: ${doubts.join('; ')}`;
  return html`<p class="verdict ${doubts.length === 0 ? 'gain' : 'loss'}">${words}<b>${count(pairs.train)} pairs to train on, of ${count(queries.kept)} of ${count(queries.all)} queries</b></p>`;
}

function card({ pairs, queries, candidates, agreement, answers }: RewardAudit): Markup {
  return html`<div class="card">
<div><b>${count(pairs.train)} + ${count(pairs.dev)}</b><span>pairs to train on, and for development</span></div>
<div><b>${percent(queries.kept / Math.max(1, queries.all))}</b><span>of the queries give a pair (${count(queries.kept)} of ${count(queries.all)})</span></div>
<div><b class="${candidates.quoting > 0 ? 'down' : ''}">${percent(candidates.quoting)}</b><span>of the candidates quote the gold document</span></div>
${agreement === undefined ? undefined : html`<div><b>${tau(agreement.mean)}</b><span>Kendall's tau of the rankings by gold document and by answer; ${percent(answers.copied)} of the answers are copied</span></div>`}
</div>`;
}

function queryTable({ queries, pairs, threshold, settings }: RewardAudit): Markup {
  const rows = [['kept', queries.kept] as const, ...Object.entries(queries.dropped)];
  const filter =
    settings.similarityQuantile === undefined
      ? `The threshold was set to ${threshold}.`
      : `The threshold, ${threshold.toFixed(3)}, drops ${percent(settings.similarityQuantile)} of the queries.`;
  const notDrawn = pairs.left > 0 ? `, of which ${count(pairs.left)} were not drawn` : '';
  const shares = rows.map(([reason, number]) => [
    reason === 'kept' ? html`<b>kept</b>` : reason,
    count(number),
    percent(number / Math.max(1, queries.all)),
  ]);
  return html`${dataTable(['Queries', 'number', 'share'], shares)}
<p class="soft">${filter} ${count(pairs.built)} pairs were built${notDrawn}. ${pairs.repeated > 0 ? `${count(pairs.repeated)} more were the same as one built before.` : ''}</p>`;
}

function rewardPlots({ rewards, agreement, threshold }: RewardAudit): Markup {
  const spreads = Object.entries(rewards.spread);
  const total = rewards.spread.total;
  return html`<div class="columns">
<section>${histogram([{ distribution: rewards.bestSimilarity, kind: 'same' }], { label: 'best summed similarity of a query', counted: 'queries', mark: { value: threshold, name: 'threshold' } })}</section>
<section>${total && histogram([{ distribution: total, kind: 'same' }], { label: 'reward of the best less that of the worst candidate', counted: 'queries' })}</section>
</div>
${dataTable(
  ['Best less worst candidate of a query', 'mean', '10 %', 'median', '90 %'],
  spreads.map(([name, one]) => [name, ...[one.mean, one.p10, one.median, one.p90].map((value) => value.toFixed(3))]),
)}
${agreement === undefined ? undefined : agreementPlot(agreement)}`;
}

function agreementPlot(agreement: Distribution): Markup {
  return html`<div class="columns"><section>${histogram([{ distribution: agreement, kind: 'same' }], { label: "Kendall's tau within a query", counted: 'queries' })}</section>
<section><p class="soft">Tau compares the ranking by gold document with the one by answer: 1 where both order the candidates alike, 0 where they have nothing to do with each other. Near 1 the answer adds nothing; near 0 one of the two may be noise. 10 % of the queries lie below ${tau(agreement.p10)}, 10 % above ${tau(agreement.p90)}.</p></section></div>`;
}

function temperatureTable({ candidates }: RewardAudit): Markup {
  const rows = candidates.byTemperature.map((one) => [
    String(one.temperature),
    count(one.candidates),
    one.meanReward.toFixed(3),
    { content: count(one.chosen), look: 'up' },
    { content: count(one.rejected), look: 'down' },
  ]);
  return html`${dataTable(['Temperature', 'candidates', 'mean reward', 'chosen', 'rejected'], rows)}
<p class="soft">${percent(candidates.duplicates)} of the candidates repeat another one of their query to the letter; such texts share a rank.</p>`;
}

function sidePlots({ sides }: RewardAudit): Markup {
  const { chosenWords, rejectedWords } = sides;
  return html`<div class="columns">
<section>${histogram([{ distribution: sides.margin, kind: 'same' }], { label: 'margin: reward of chosen less that of rejected', counted: 'pairs' })}</section>
<section>${histogram(
    [
      { distribution: chosenWords, kind: 'gain' },
      { distribution: rejectedWords, kind: 'loss' },
    ],
    { label: 'words a side', counted: 'pairs' },
  )}<p class="soft"><span class="up">\u25a0</span> chosen, mean ${chosenWords.mean.toFixed(1)} words; <span class="down">\u25a0</span> rejected, mean ${rejectedWords.mean.toFixed(1)} words.</p></section>
</div>
<p>The chosen side is longer in ${percent(sides.chosenLonger)} of the pairs and shorter in ${percent(sides.chosenShorter)}. Where these differ much, the model can learn length instead of content.</p>`;
}

function leaks({ candidates, sides, answers, quotes }: RewardAudit): Markup {
  return html`<p>${percent(candidates.quoting)} of the candidates, of ${count(candidates.queriesQuoting)} queries, quote a gold document; so do ${percent(sides.chosenQuotes)} of the chosen and ${percent(sides.rejectedQuotes)} of the rejected sides. On average ${percent(candidates.overlap)} of a candidate's stretches of four words stand in the gold document. ${answers.count === 0 ? '' : `Of ${count(answers.count)} answers ${percent(answers.copied)} are copied from it.`}</p>
<p class="soft">A quotation is eight words in a row that the gold document has too and the query has not; of a document of four to seven words, the whole of it. An answer is copied when at least 80 % of its stretches of four words stand in the document.</p>
${quotes.map(quotation)}`;
}

function quotation({ query, gold, text }: AuditQuote): Markup {
  return html`<article class="loss"><h3>${shorten(query, SHOWN_CHARACTERS)}</h3><blockquote>${shorten(text, SHOWN_CHARACTERS)}</blockquote><p class="soft">Gold document: ${shorten(gold, SHOWN_CHARACTERS)}</p></article>`;
}

function example({ query, gold, answer, chosen, rejected, part }: AuditExample): Markup {
  const side = (name: string, kind: 'up' | 'down', { text, reward, quotes }: AuditExample['chosen']) =>
    html`<section><b class="${kind}">${name}, ${reward.toFixed(3)}${quotes ? ', quotes the gold document' : ''}</b><blockquote>${shorten(text, SHOWN_CHARACTERS)}</blockquote></section>`;
  return html`<article><h3><span class="soft">${part}</span>${shorten(query, SHOWN_CHARACTERS)}</h3>
<div class="columns">${side('chosen', 'up', chosen)}${side('rejected', 'down', rejected)}</div>
<p class="soft">Gold document: ${shorten(gold, SHOWN_CHARACTERS)}</p>${answer === undefined ? undefined : html`<p class="soft">Answer: ${shorten(answer, SHOWN_CHARACTERS)}</p>`}</article>`;
}

function describeMixture(rewards: readonly { name: string; weight: number }[]): string {
  return rewards.map(({ name, weight }) => (weight === 1 ? name : `${weight} \u00d7 ${name}`)).join(' + ');
}

function tau(value: number): string {
  return value.toFixed(2).replace('-', '\u2212');
}
