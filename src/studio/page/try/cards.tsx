import type { SnippetPiece, TryCard } from '../../shapes/try.ts';
import { Text, visible } from '../components/text.tsx';
import { WhyMoved } from './why.tsx';
import { type Move, signed } from './words.ts';

interface CardsProps {
  /** For those who cannot see the column. */
  label: string;
  cards: readonly TryCard[];
  query: string;
  texts: readonly string[];
  isPending: boolean;
  /** The moves of a card, each with the name of the list in which it moved; none while there is nothing to compare with. */
  movesOf: (card: TryCard) => readonly { name: string; move: Move }[];
}

/** A ranking as cards. */
export function Cards({ label, cards, query, texts, isPending, movesOf }: CardsProps) {
  if (cards.length === 0) return <p class="soft">Nothing found.</p>;
  return (
    <ol class="cards" aria-label={label} aria-busy={isPending}>
      {cards.map((card) => (
        <li key={card.id} class={`card hit ${movesOf(card)[0]?.move.kind ?? ''}`}>
          <div class="head">
            <span class="rank">
              <span class="unseen">rank </span>
              {card.rank}
            </span>
            {movesOf(card).map(({ name, move }) => (
              <span key={name} class={`move ${move.kind}`}>
                <span aria-hidden="true">{move.symbol}</span> {name && `${name}: `}
                {move.words}
              </span>
            ))}
            <Relevance grade={card.relevance} />
            <span class="score soft">{signed(card.score)}</span>
          </div>
          <h3>
            <Text value={card.title || card.id} />
          </h3>
          <p class="snippet" dir="auto">
            {card.snippet.map((piece, at) => (
              <Piece key={at} piece={piece} />
            ))}
          </p>
          {card.title !== '' && (
            <p class="soft id">
              <Text value={card.id} />
            </p>
          )}
          <WhyMoved why={card.why} texts={texts} query={query} />
        </li>
      ))}
    </ol>
  );
}

function Relevance({ grade }: { grade: number | undefined }) {
  if (grade === undefined) return null;
  return <span class={`grade ${grade > 0 ? 'yes' : 'no'}`}>{grade > 0 ? `✓ relevant ${grade}` : 'not relevant'}</span>;
}

/** Words of the query are marked; those that only the expansions have are underlined. */
function Piece({ piece: { text, of } }: { piece: SnippetPiece }) {
  if (of === 'query') return <mark>{visible(text)}</mark>;
  if (of === 'expansion') return <span class="of-expansion">{visible(text)}</span>;
  return <>{visible(text)}</>;
}
