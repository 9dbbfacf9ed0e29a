import { VERDICT_THRESHOLDS, type VerdictKind, verdictOn } from '../../evaluate/index.ts';
import { counted } from '../../system/index.ts';
import { count, direction, pooledSets, pValue, score, signed } from '../figures.ts';
import { html, type Markup } from '../markup.ts';
import type { SuiteData, SuiteMeta, SuiteOverall } from '../suite-data.ts';

/** Below this number of sets, nothing can be said of others. */
export const FEWEST_SETS = 3;

/** What a suite shows of one system, in plain sentences. */
export interface SuiteVerdict {
  system: string;
  /** `same`: no query changed; `failed`: nothing to compare. */
  kind: VerdictKind | 'same' | 'failed';
  /** `rm3 cannot be told apart from raw`. */
  claim: string;
  /** The numbers behind it, and what they say of other sets. */
  reasons: string[];
}

/** Says of each system but the baseline whether it helps: on the queries of these sets, and on other sets. */
export function suiteVerdicts(data: SuiteData): SuiteVerdict[] {
  const { systems, baseline, overall, meta } = data;
  return systems
    .filter(({ name }) => name !== baseline)
    .map(({ name }) => {
      const found = overall.find(({ arm }) => arm === name);
      return found === undefined
        ? failed(name, data)
        : verdictOf(
            found,
            meta.find(({ system }) => system === name),
            data,
          );
    });
}

function failed(system: string, { baseline }: SuiteData): SuiteVerdict {
  const claim = `${system} cannot be compared with ${baseline}`;
  return { system, kind: 'failed', claim, reasons: ['No set was finished by both.'] };
}

function verdictOf(overall: SuiteOverall, meta: SuiteMeta | undefined, data: SuiteData): SuiteVerdict {
  const { baseline, rows } = data;
  const { arm, helped, hurt, unchanged, measure, delta, interval, sets } = overall;
  const queries = helped + hurt + unchanged;
  const where = `${counted(queries, 'query')} of ${sets.length === 1 ? `the set ${sets[0]}` : pooledSets(sets.length, rows.length)}`;
  if (helped + hurt === 0) {
    const reasons = [
      `Each ${queries === 1 ? 'query' : `of the ${where}`} has the same ${measure} as with ${baseline}.`,
    ];
    return { system: arm, kind: 'same', claim: `${arm} changes nothing against ${baseline}`, reasons };
  }
  const { kind } = verdictOn(overall);
  const numbers =
    `Over ${where}, ${measure} changes by ${signed(delta)} on average (95 % interval ${signed(interval[0])} to ${signed(interval[1])}, ` +
    `${pInWords(overall, data)}); ${count(helped)} ${helped === 1 ? 'query is' : 'queries are'} helped, ${count(hurt)} hurt.`;
  const limit = kind === 'few' ? [whyFew(queries)] : [];
  return {
    ...{ system: arm, kind, claim: claimOf(kind, arm, baseline) },
    reasons: [numbers, ...limit, elsewhere(meta, sets, kind)],
  };
}

function claimOf(kind: VerdictKind, arm: string, baseline: string): string {
  if (kind === 'gain') return `${arm} helps`;
  if (kind === 'loss') return `${arm} hurts`;
  if (kind === 'none') return `${arm} cannot be told apart from ${baseline}`;
  return `${arm}: too few queries to tell it from ${baseline}`;
}

function pInWords({ randomization, holm }: SuiteOverall, { overall }: SuiteData): string {
  const corrected = holm === undefined ? '' : `, ${pValue(holm)} corrected for ${counted(overall.length, 'system')}`;
  return `p ${pValue(randomization)}${corrected}`;
}

function whyFew(queries: number): string {
  const { leastQueries, fewQueries, strictP } = VERDICT_THRESHOLDS;
  return queries < leastQueries
    ? `Fewer than ${leastQueries} queries show nothing, whatever p is: use at least ${fewQueries}.`
    : `With fewer than ${fewQueries} queries, a change counts only if p is below ${strictP}.`;
}

/** What the spread between the sets says of sets that were not searched. */
function elsewhere(meta: SuiteMeta | undefined, sets: readonly string[], kind: VerdictKind): string {
  if (meta?.interval === undefined || meta.p === undefined) {
    return sets.length === 1
      ? 'One set says nothing of other sets.'
      : `For other sets, nothing is shown: that needs at least ${FEWEST_SETS} sets with changed queries.`;
  }
  const { studies, effect, interval, p } = meta;
  const { low, high } = interval;
  const isLikely = p < VERDICT_THRESHOLDS.p && (low > 0 || high < 0);
  const agrees = isLikely && (kind === 'few' || kind === 'none' || effect > 0 === (kind === 'gain'));
  const shown = agrees
    ? `sets like these are likely to show ${effect > 0 ? 'a gain' : 'a loss'} too`
    : 'for other sets, no effect is shown';
  return `Random effects over ${studies} sets: ${signed(effect)} (${signed(low)} to ${signed(high)}, p ${pValue(p)}): ${shown}.`;
}

/** The head of a suite's page: each system with its mean and its verdict. */
export function verdictList(data: SuiteData): Markup {
  const { systems, means, measure, baseline } = data;
  const verdicts = new Map(suiteVerdicts(data).map((verdict) => [verdict.system, verdict]));
  const meanOf = (name: string) => means[0]?.measures[name]?.[measure];
  const items = systems.map(({ name, description }) => {
    const verdict = verdicts.get(name);
    const value = meanOf(name);
    const change = (value ?? 0) - (meanOf(baseline) ?? 0);
    const difference =
      verdict === undefined || value === undefined
        ? undefined
        : html` <i class="${direction(change)}">${signed(change)}</i>`;
    return html`<li class="${verdict?.kind ?? 'base'}"><b>${verdict?.claim ?? `${name}: the baseline`}</b><span class="number">${value === undefined ? 'no mean' : score(value)}${difference}</span><small>${description}</small>${verdict?.reasons.map((reason, at) => html`<p${at === 0 ? undefined : html` class="soft"`}>${reason}</p>`)}</li>`;
  });
  return html`<ul class="verdicts">${items}</ul>`;
}

/** The verdicts as lines of a terminal. */
export function verdictLines(data: SuiteData): string[] {
  return suiteVerdicts(data).map(({ claim, reasons }) => `${claim}. ${reasons.join(' ')}`);
}
