import type { Why, WhyRank } from '../../shapes/try.ts';
import { visible } from '../components/text.tsx';
import { beginning, signed } from './words.ts';

interface Share {
  label: string;
  share: number;
  /** The part of a term's share that the query earns. */
  ofQuery?: number | undefined;
}

/** What a score is made of, exactly: the shares sum to it. */
export function WhyMoved({ why, texts, query }: { why: Why; texts: readonly string[]; query: string }) {
  const { dense, bm25, fused } = why;
  return (
    <details class="why">
      <summary>Why this score</summary>
      {fused && <Shares title={`Fused: weights of 1 / (${fused.k} + rank)`} shares={ranks(fused)} />}
      {dense && (
        <Shares
          title="Dense: weighted similarity"
          shares={[
            { label: `query: ${beginning(query)}`, share: dense.query },
            ...dense.expansions.map((share, at) => ({
              label: `expansion ${at + 1}: ${beginning(texts[at] ?? '')}`,
              share,
            })),
          ]}
        />
      )}
      {bm25 && bm25.terms.length > 0 && (
        <Shares
          title="BM25: by word"
          note={texts.length > 0 ? 'Dark: earned by the query. Light: by the expansions.' : undefined}
          shares={bm25.terms.map(({ term, share, ofQuery }) => ({ label: term, share, ofQuery }))}
        />
      )}
    </details>
  );
}

function ranks({ dense, bm25 }: NonNullable<Why['fused']>): Share[] {
  const one = (name: string, found: WhyRank | undefined): Share => ({
    label: found === undefined ? `${name}: not among the first` : `${name}: rank ${found.rank}`,
    share: found?.share ?? 0,
  });
  return [one('dense', dense), one('BM25', bm25)];
}

function Shares({ title, note, shares }: { title: string; note?: string | undefined; shares: readonly Share[] }) {
  const largest = Math.max(...shares.map(({ share }) => Math.abs(share)), Number.MIN_VALUE);
  const total = shares.reduce((sum, { share }) => sum + share, 0);
  return (
    <table class="shares">
      <caption>
        {title}
        {note && <span class="soft"> {note}</span>}
      </caption>
      <tbody>
        {shares.map(({ label, share, ofQuery }, at) => (
          <tr key={at}>
            <th scope="row">
              <bdi>{visible(label)}</bdi>
            </th>
            <td class="share-bar" aria-hidden="true">
              <Bar share={share} ofQuery={ofQuery} largest={largest} />
            </td>
            <td class="end">
              {signed(share)}
              {ofQuery !== undefined && <span class="unseen">, of which the query {signed(ofQuery)}</span>}
            </td>
          </tr>
        ))}
        <tr class="total">
          <th scope="row">sum</th>
          <td />
          <td class="end">{signed(total)}</td>
        </tr>
      </tbody>
    </table>
  );
}

function Bar({ share, ofQuery, largest }: { share: number; ofQuery: number | undefined; largest: number }) {
  const width = (value: number) => `${((100 * Math.abs(value)) / largest).toFixed(1)}%`;
  if (ofQuery === undefined) return <span class={share < 0 ? 'below' : 'whole'} style={{ width: width(share) }} />;
  return (
    <>
      <span class="whole" style={{ width: width(ofQuery) }} />
      <span class="of-texts" style={{ width: width(share - ofQuery) }} />
    </>
  );
}
