import type { AuditExample, AuditQuote, Distribution, RewardAudit } from '../reward/index.ts';
import { writeDurably } from '../system/index.ts';
import { count, percent, shorten } from './figures.ts';
import { histogram } from './histogram.ts';
import { html, type Markup } from './markup.ts';
import { wholePage } from './whole-page.ts';

const SHOWN_CHARACTERS = 700;

/** Writes the audit of rewards and pairs as a page that needs nothing else. */
export async function writeAuditPage(file: string, audit: RewardAudit): Promise<void> {
  await writeDurably(file, renderAuditPage(audit));
}

/** The audit of rewards and pairs as one HTML file, in the style of the evaluation's report. */
export function renderAuditPage(audit: RewardAudit): string {
  const { rewarding } = audit;
  const content = html`<p class="soft">${count(audit.candidates.count)} candidates of ${count(audit.queries.all)} queries${rewarding === undefined ? '' : `, rewarded by ${describeMixture(rewarding.rewards)}; similarities are cosines of ${rewarding.encoder.id}`}.</p>
${auditSection(audit)}`;
  return wholePage({ title: 'Rewards and pairs' }, content);
}

/** The same without the page around it, to stand inside a larger report. */
export function auditSection(audit: RewardAudit): Markup {
  return html`${tiles(audit)}
<h2>What became of the queries</h2>${queryTable(audit)}
<h2>What the candidates earned</h2>${rewardPlots(audit)}${temperatureTable(audit)}
<h2>Chosen against rejected</h2>${sidePlots(audit)}
<h2>Leaks</h2>${leaks(audit)}
<h2>Pairs to look at</h2>
<p class="soft">A sample drawn by a hash of their ids, not the best ones.</p>
${audit.examples.map(example)}`;
}

function tiles({ pairs, queries, candidates, agreement, answers }: RewardAudit): Markup {
  return html`<div class="tiles">
<div class="tile"><b>${count(pairs.train)} + ${count(pairs.dev)}</b><span>pairs to train on, and for development</span></div>
<div class="tile"><b>${percent(queries.kept / Math.max(1, queries.all))}</b><span>of the queries give a pair (${count(queries.kept)} of ${count(queries.all)})</span></div>
<div class="tile"><b class="${candidates.quoting > 0 ? 'down' : ''}">${percent(candidates.quoting)}</b><span>of the candidates quote the gold document</span></div>
${agreement === undefined ? undefined : html`<div class="tile"><b>${tau(agreement.mean)}</b><span>Kendall's tau of the rankings by gold document and by answer; ${percent(answers.copied)} of the answers are copied</span></div>`}
</div>`;
}

function queryTable({ queries, pairs, threshold, settings }: RewardAudit): Markup {
  const rows = [['kept', queries.kept] as const, ...Object.entries(queries.dropped)];
  const filter =
    settings.similarityQuantile === undefined
      ? `The threshold was set to ${threshold}.`
      : `The threshold, ${threshold.toFixed(3)}, drops ${percent(settings.similarityQuantile)} of the queries.`;
  const notDrawn = pairs.left > 0 ? `, of which ${count(pairs.left)} were not drawn` : '';
  return html`<div class="wide"><table><thead><tr><th>Queries</th><th>number</th><th>share</th></tr></thead><tbody>${rows.map(
    ([reason, number]) =>
      html`<tr><td>${reason === 'kept' ? html`<b>kept</b>` : reason}</td><td>${count(number)}</td><td>${percent(number / Math.max(1, queries.all))}</td></tr>`,
  )}</tbody></table></div>
<p class="soft">${filter} ${count(pairs.built)} pairs were built${notDrawn}. ${pairs.repeated > 0 ? `${count(pairs.repeated)} more were the same as one built before.` : ''}</p>`;
}

function rewardPlots({ rewards, agreement, threshold }: RewardAudit): Markup {
  const spreads = Object.entries(rewards.spread);
  const total = rewards.spread.total;
  return html`<div class="columns">
<section>${histogram([{ distribution: rewards.bestSimilarity, kind: 'same' }], { label: 'best summed similarity of a query', counted: 'queries', mark: { value: threshold, name: 'threshold' } })}</section>
<section>${total && histogram([{ distribution: total, kind: 'same' }], { label: 'reward of the best less that of the worst candidate', counted: 'queries' })}</section>
</div>
<div class="wide" style="margin:18px 0 26px"><table><thead><tr><th>Best less worst candidate of a query</th><th>mean</th><th>10 %</th><th>median</th><th>90 %</th></tr></thead><tbody>${spreads.map(
    ([name, one]) =>
      html`<tr><td>${name}</td>${[one.mean, one.p10, one.median, one.p90].map((value) => html`<td>${value.toFixed(3)}</td>`)}</tr>`,
  )}</tbody></table></div>
${agreement === undefined ? undefined : agreementPlot(agreement)}`;
}

function agreementPlot(agreement: Distribution): Markup {
  return html`<div class="columns"><section>${histogram([{ distribution: agreement, kind: 'same' }], { label: "Kendall's tau within a query", counted: 'queries' })}</section>
<section><p class="soft">Tau compares the ranking by gold document with the one by answer: 1 where both order the candidates alike, 0 where they have nothing to do with each other. Near 1 the answer adds nothing; near 0 one of the two may be noise. 10 % of the queries lie below ${tau(agreement.p10)}, 10 % above ${tau(agreement.p90)}.</p></section></div>`;
}

function temperatureTable({ candidates }: RewardAudit): Markup {
  const rows = candidates.byTemperature.map(
    (one) =>
      html`<tr><td>${one.temperature}</td><td>${count(one.candidates)}</td><td>${one.meanReward.toFixed(3)}</td><td class="up">${count(one.chosen)}</td><td class="down">${count(one.rejected)}</td></tr>`,
  );
  return html`<div class="wide" style="margin-top:18px"><table><thead><tr><th>Temperature</th><th>candidates</th><th>mean reward</th><th>chosen</th><th>rejected</th></tr></thead><tbody>${rows}</tbody></table></div>
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
  return html`<article class="loss"><h3>${query}</h3><blockquote>${shorten(text, SHOWN_CHARACTERS)}</blockquote><p class="soft">Gold document: ${shorten(gold, SHOWN_CHARACTERS)}</p></article>`;
}

function example({ query, gold, answer, chosen, rejected, part }: AuditExample): Markup {
  const side = (name: string, kind: 'up' | 'down', { text, reward, quotes }: AuditExample['chosen']) =>
    html`<section><b class="${kind}">${name}, ${reward.toFixed(3)}${quotes ? ', quotes the gold document' : ''}</b><blockquote>${shorten(text, SHOWN_CHARACTERS)}</blockquote></section>`;
  return html`<article><h3><span class="soft">${part}</span>${query}</h3>
<div class="columns">${side('chosen', 'up', chosen)}${side('rejected', 'down', rejected)}</div>
<p class="soft">Gold document: ${shorten(gold, SHOWN_CHARACTERS)}</p>${answer === undefined ? undefined : html`<p class="soft">Answer: ${shorten(answer, SHOWN_CHARACTERS)}</p>`}</article>`;
}

function describeMixture(rewards: readonly { name: string; weight: number }[]): string {
  return rewards.map(({ name, weight }) => (weight === 1 ? name : `${weight} \u00d7 ${name}`)).join(' + ');
}

function tau(value: number): string {
  return value.toFixed(2).replace('-', '\u2212');
}
