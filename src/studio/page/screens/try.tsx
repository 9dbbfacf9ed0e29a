import type { TryExpand, TryFacts, TryRank, TryRanking } from '../../shapes/try.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Command, Empty } from '../components/empty.tsx';
import { Notice } from '../components/notice.tsx';
import { place, setParams } from '../shell/place.ts';
import { type ArmWriting, useWriting } from '../try/arm.ts';
import { ArmTexts } from '../try/arm-panel.tsx';
import { Cards } from '../try/cards.tsx';
import { codeOf, commandsOf } from '../try/commands.ts';
import { Copy } from '../try/copy-dialog.tsx';
import { QueryForm } from '../try/query-form.tsx';
import { type RankingsState, useRankings } from '../try/rankings.ts';
import { Settings, useShownSettings } from '../try/settings.tsx';
import { readState, type TryState } from '../try/state.ts';
import { grouped, moveFrom, moveTo } from '../try/words.ts';

/** Documents of each list. */
const TOP = 10;

/** A query without and with expansions, side by side. */
export default function Try() {
  const { data, error, reload } = useLoad((signal) => get<TryFacts>('/api/try', { signal }));
  return (
    <>
      <div class="title">
        <h1>Try a query</h1>
      </div>
      <Notice error={error} onRetry={reload} />
      {data?.corpora.length === 0 && (
        <Empty title="No corpus is open">
          <p>Start the studio with documents to search: a JSONL file, or a folder in the layout of BEIR.</p>
          <Command>llm-qe studio --corpus docs.jsonl</Command>
        </Empty>
      )}
      {data !== undefined && data.corpora.length > 0 && <Trial facts={data} />}
    </>
  );
}

function Trial({ facts }: { facts: TryFacts }) {
  const told = readState(place.value.params, facts);
  const shown = useShownSettings(told);
  const state: TryState = { ...told, ...shown.values };
  const [a, b] = told.arms;
  const writings = [useWriting(expandOf(told, a, facts)), useWriting(expandOf(told, b, facts))].slice(
    0,
    told.arms.length,
  );
  const ready = writings.map(({ state: how, texts }) => how === 'stopped' || (how === 'written' && texts.length > 0));
  const texts = writings.map((one) => one.texts);
  const ranked = useRankings(
    rankOf(
      state,
      texts.filter((_texts, at) => ready[at]),
      facts,
    ),
  );
  return (
    <>
      <QueryForm state={state} facts={facts} />
      {state.query !== '' && state.query.length <= facts.longestQuery && (
        <>
          <Settings facts={facts} state={state} shown={shown} />
          <div class="actions">
            {told.arms.length === 1 ? (
              <Button onClick={() => setParams({ b: 1 })}>Compare two writers or prompts</Button>
            ) : (
              <Button onClick={() => setParams({ b: undefined })}>Only one arm</Button>
            )}
            <Copy label="Copy as command" about="Shows the same in a terminal." text={() => commandsOf(state, facts)} />
            <Copy
              label="Copy as code"
              about="TypeScript that ranks with the expansions on the screen."
              text={() => codeOf(state, texts, facts)}
            />
          </div>
          {isSame(a, b) && <p role="status">A and B are the same: choose another writer or prompt for one of them.</p>}
          <Notice error={ranked.error} onRetry={ranked.retry} />
          <Facts ranked={ranked} />
          <Columns {...{ state, facts, writings, ready, ranked }} />
        </>
      )}
    </>
  );
}

type Arm = TryState['arms'][number];

function isSame(a: Arm | undefined, b: Arm | undefined): boolean {
  return a !== undefined && b !== undefined && a.writer === b.writer && a.prompt === b.prompt;
}

function expandOf(
  { query, samples }: TryState,
  arm: Arm | undefined,
  { longestQuery }: TryFacts,
): TryExpand | undefined {
  if (arm === undefined || query === '' || query.length > longestQuery) return undefined;
  return { query, samples, writer: arm.writer, prompt: arm.prompt };
}

function rankOf(
  state: TryState,
  texts: readonly (readonly string[])[],
  { longestQuery }: TryFacts,
): TryRank | undefined {
  const { query, corpus, retriever, alpha, queryRepeats, filter } = state;
  if (query === '' || query.length > longestQuery) return undefined;
  const arms = texts.map((one) => ({ texts: one.filter((text) => text.trim() !== '') }));
  return { query, corpus, retriever, alpha, queryRepeats, filter, arms, top: TOP };
}

function Facts({ ranked: { shown, isPending } }: { ranked: RankingsState }) {
  if (shown === undefined) return isPending ? <p role="status">Searching…</p> : null;
  const { documents, passing, known, milliseconds } = shown.rankings;
  return (
    <p class="soft try-facts">
      {passing === documents
        ? `${grouped(documents)} documents`
        : `${grouped(passing)} of ${grouped(documents)} documents hold the text`}
      {`, ranked in ${milliseconds.toFixed(0)} ms. `}
      {known !== undefined &&
        (known.judgements > 0
          ? `Query ${known.id} has ${known.relevant === 1 ? 'one relevant document' : `${grouped(known.relevant)} relevant documents`}.`
          : `Query ${known.id} is not judged.`)}
    </p>
  );
}

interface ColumnsProps {
  state: TryState;
  facts: TryFacts;
  writings: readonly ArmWriting[];
  ready: readonly boolean[];
  ranked: RankingsState;
}

/** The raw list, then those of the arms. A list that is not there yet does not hide the others. */
function Columns({ state, facts, writings, ready, ranked: { shown, isPending } }: ColumnsProps) {
  const names = state.arms.length === 1 ? ['Expanded'] : ['A', 'B'];
  // The arms that the answer holds, by their place on the screen.
  const held = ready.flatMap((isReady, at) => (isReady ? [at] : [])).slice(0, shown?.rankings.arms.length ?? 0);
  const query = shown?.asked.query ?? state.query;
  const isOther = query !== state.query;
  return (
    <div class="columns try">
      <section aria-label="Raw query">
        <div class="column-head">
          <h2>Raw query</h2>
          {shown && <Quality ranking={shown.rankings.raw} />}
        </div>
        {shown && (
          <Cards
            label="Ranking of the raw query"
            {...{ cards: shown.rankings.raw.cards, query, texts: [], isPending: isPending || isOther }}
            movesOf={({ rank, others }) =>
              others.flatMap((after, at) => {
                const name = held.length > 1 || state.arms.length > 1 ? names[held[at] ?? at]! : '';
                return [{ name, move: moveFrom(rank, after, TOP) }];
              })
            }
          />
        )}
      </section>
      {state.arms.map((arm, at) => {
        const ranking = shown?.rankings.arms[held.indexOf(at)];
        return (
          <section key={arm.key} aria-label={names[at]}>
            <div class="column-head">
              <h2>{names[at]}</h2>
              {ranking && <Quality ranking={ranking} raw={shown!.rankings.raw} />}
            </div>
            <ArmTexts arm={arm} facts={facts} writing={writings[at]!} />
            {ranking && ready[at] && (
              <Cards
                label={`Ranking with expansions${state.arms.length > 1 ? ` of ${names[at]}` : ''}`}
                {...{ cards: ranking.cards, query, isPending }}
                texts={shown!.asked.arms[held.indexOf(at)]!.texts}
                movesOf={({ rank, others }) => [{ name: '', move: moveTo(rank, others[0]!, TOP) }]}
              />
            )}
          </section>
        );
      })}
    </div>
  );
}

function Quality({ ranking, raw }: { ranking: TryRanking; raw?: TryRanking | undefined }) {
  if (ranking.ndcg10 === undefined) return null;
  const change = raw?.ndcg10 === undefined ? undefined : ranking.ndcg10 - raw.ndcg10;
  return (
    <span class="quality">
      nDCG@10 {ranking.ndcg10.toFixed(2)}
      {change !== undefined && (
        <span class={change < 0 ? 'loss' : 'gain'}>
          {' '}
          ({change < 0 ? '−' : '+'}
          {Math.abs(change).toFixed(2)})
        </span>
      )}
    </span>
  );
}
