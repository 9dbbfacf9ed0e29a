import type { AuditExample, AuditQuote, Distribution, RewardAudit } from '../../reward/index.ts';
import { counted, writeDurably } from '../../system/index.ts';
import { count, percent, shorten } from '../figures.ts';
import { html, type Markup } from '../markup.ts';
import { histogram } from '../plots/histogram.ts';
import { dataTable } from '../sections/data-table.ts';
import { type Section, wholePage } from '../whole-page.ts';

const SHOWN_CHARACTERS = 700;

/** Writes the audit of rewards and pairs as a self-contained HTML page. */
export async function writeAuditPage(file: string, audit: RewardAudit): Promise<void> {
  await writeDurably(file, renderAuditPage(audit));
}

/** Renders the audit of rewards and pairs as one HTML file, in the style of the evaluation's report. */
export function renderAuditPage(audit: RewardAudit): string {
  const { rewarding } = audit;
  const lead = html`<p class="soft">${count(audit.candidates.count)} candidates of ${count(audit.queries.all)} queries${rewarding === undefined ? '' : `, rewarded by ${describeMixture(rewarding.rewards)}; cosine similarities by ${rewarding.encoder.id}`}.</p>
${verdict(audit)}${card(audit)}`;
  return wholePage({ title: 'Rewards and pairs', lead, sections: partsOf(audit) });
}

/** Renders the audit as sections of a larger report. */
export function auditSections(audit: RewardAudit): Section[] {
  return [{ title: 'Rewards and pairs', body: html`${verdict(audit)}${card(audit)}` }, ...partsOf(audit)];
}

function partsOf(audit: RewardAudit): Section[] {
  return [
    { title: 'Queries kept and dropped', body: queryTable(audit) },
    { title: 'Rewards of the candidates', body: html`${rewardPlots(audit)}${temperatureTable(audit)}` },
    { title: 'Chosen against rejected', body: sidePlots(audit) },
    { title: 'Leaks', body: leaks(audit) },
    {
      title: 'Sample of pairs',
      body: html`<p class="soft">Sampled by a hash of their ids, not by quality.</p>${audit.examples.map(example)}`,
    },
  ];
}

/**
 * Limits of the warnings: fewer pairs than these give preference training little to learn from; fewer kept queries, more
 * candidates that quote, or more pairs with a longer (shorter) chosen side than these fractions are suspect.
 */
const [FEW_PAIRS, FEW_KEPT, MUCH_QUOTED, MUCH_LONGER] = [100, 0.5, 0.1, 0.7];

/** Sums the audit up: the warnings it gives, or that there are none. */
function verdict({ pairs, queries, candidates, sides }: RewardAudit): Markup {
  const doubts = [
    pairs.train < FEW_PAIRS && `only ${count(pairs.train)} training pairs`,
    queries.kept < FEW_KEPT * queries.all && `fewer than half of the queries give a pair`,
    candidates.quoting > MUCH_QUOTED && `${percent(candidates.quoting)} of the candidates quote the gold document`,
    sides.chosenLonger > MUCH_LONGER && `the chosen side is longer in ${percent(sides.chosenLonger)} of the pairs`,
    sides.chosenShorter > MUCH_LONGER && `the chosen side is shorter in ${percent(sides.chosenShorter)} of the pairs`,
  ].filter((doubt) => doubt !== false);
  const words =
    doubts.length === 0 ? 'No warning signs in these pairs' : `Check before you train: ${doubts.join('; ')}`;
  return html`<p class="verdict ${doubts.length === 0 ? 'gain' : 'loss'}">${words}<b>${count(pairs.train)} training pairs from ${count(queries.kept)} of ${count(queries.all)} queries</b></p>`;
}

function card({ pairs, queries, candidates, agreement, answers }: RewardAudit): Markup {
  return html`<div class="card">
<div><b>${count(pairs.train)} + ${count(pairs.dev)}</b><span>training and development pairs</span></div>
<div><b>${percent(queries.kept / Math.max(1, queries.all))}</b><span>of the queries give a pair (${count(queries.kept)} of ${count(queries.all)})</span></div>
<div><b class="${candidates.quoting > 0 ? 'down' : ''}">${percent(candidates.quoting)}</b><span>of the candidates quote the gold document</span></div>
${agreement === undefined ? undefined : html`<div><b>${tau(agreement.mean)}</b><span>Kendall's tau between the rankings by gold document and by answer; ${percent(answers.copied)} of the answers are copied</span></div>`}
</div>`;
}

function queryTable({ queries, pairs, threshold, settings }: RewardAudit): Markup {
  const rows = [['kept', queries.kept] as const, ...Object.entries(queries.dropped)];
  const filter =
    settings.similarityQuantile === undefined
      ? `The threshold was set to ${threshold}.`
      : `The threshold, ${threshold.toFixed(3)}, drops ${percent(settings.similarityQuantile)} of the queries.`;
  const notDrawn =
    pairs.left > 0 ? `; ${count(pairs.left)} of them ${pairs.left === 1 ? 'was' : 'were'} not drawn` : '';
  const cells = rows.map(([reason, number]) => [
    reason === 'kept' ? html`<b>kept</b>` : reason,
    count(number),
    percent(number / Math.max(1, queries.all)),
  ]);
  return html`${dataTable(['Queries', 'number', 'fraction'], cells)}
<p class="soft">${filter} ${counted(pairs.built, 'pair was', 'pairs were')} built${notDrawn}.${pairs.repeated > 0 ? ` ${counted(pairs.repeated, 'duplicate was', 'duplicates were')} dropped.` : ''}</p>`;
}

function rewardPlots({ rewards, agreement, threshold }: RewardAudit): Markup {
  const spreads = Object.entries(rewards.spread);
  const total = rewards.spread.total;
  return html`<div class="columns">
<section>${histogram([{ distribution: rewards.bestSimilarity, kind: 'same' }], { label: 'best summed similarity of a query', counted: 'queries', mark: { value: threshold, name: 'threshold' } })}</section>
<section>${total && histogram([{ distribution: total, kind: 'same' }], { label: 'reward of the best candidate minus that of the worst', counted: 'queries' })}</section>
</div>
${dataTable(
  ['Best minus worst candidate of a query', 'mean', '10 %', 'median', '90 %'],
  spreads.map(([name, one]) => [name, ...[one.mean, one.p10, one.median, one.p90].map((value) => value.toFixed(3))]),
)}
${agreement === undefined ? undefined : agreementPlot(agreement)}`;
}

function agreementPlot(agreement: Distribution): Markup {
  return html`<div class="columns"><section>${histogram([{ distribution: agreement, kind: 'same' }], { label: "Kendall's tau within a query", counted: 'queries' })}</section>
<section><p class="soft">Tau compares the ranking by gold document with the ranking by answer: it is 1 if both order the candidates in the same way, and 0 if they are unrelated. Near 1, the answer adds nothing; near 0, one of the two may be noise. 10 % of the queries are below ${tau(agreement.p10)}, and 10 % above ${tau(agreement.p90)}.</p></section></div>`;
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
<p class="soft">${percent(candidates.duplicates)} of the candidates are exact duplicates of another candidate of their query; equal texts share a rank.</p>`;
}

function sidePlots({ sides }: RewardAudit): Markup {
  const { chosenWords, rejectedWords } = sides;
  return html`<div class="columns">
<section>${histogram([{ distribution: sides.margin, kind: 'same' }], { label: 'margin: reward of chosen minus that of rejected', counted: 'pairs' })}</section>
<section>${histogram(
    [
      { distribution: chosenWords, kind: 'gain' },
      { distribution: rejectedWords, kind: 'loss' },
    ],
    { label: 'words per side', counted: 'pairs' },
  )}<p class="soft"><span class="up">\u25a0</span> chosen, mean ${chosenWords.mean.toFixed(1)} words; <span class="down">\u25a0</span> rejected, mean ${rejectedWords.mean.toFixed(1)} words.</p></section>
</div>
<p>The chosen side is longer in ${percent(sides.chosenLonger)} of the pairs and shorter in ${percent(sides.chosenShorter)}. If these differ much, the model can learn length instead of content.</p>`;
}

function leaks({ candidates, sides, answers, quotes }: RewardAudit): Markup {
  return html`<p>${percent(candidates.quoting)} of the candidates (from ${count(candidates.queriesQuoting)} queries) quote a gold document; so do ${percent(sides.chosenQuotes)} of the chosen and ${percent(sides.rejectedQuotes)} of the rejected sides. On average, ${percent(candidates.overlap)} of a candidate's sequences of four words are also in the gold document. ${answers.count === 0 ? '' : `Of ${count(answers.count)} answers, ${percent(answers.copied)} are copied from it.`}</p>
<p class="soft">A quotation is a sequence of eight words that is in the gold document but not in the query; for a gold document of four to seven words, it is the complete document. An answer counts as copied if at least 80 % of its sequences of four words are in the document.</p>
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
