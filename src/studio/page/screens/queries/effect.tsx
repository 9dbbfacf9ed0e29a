import type { QueryComparison, QueryEffect } from '../../../shapes/queries.ts';
import { Text } from '../../components/text.tsx';
import { count, pValue, score, signed } from './numbers.ts';

/** The verdict, and the numbers behind it. */
export function Effect({ effect, comparison }: { effect: QueryEffect; comparison: QueryComparison }) {
  const { delta, interval, randomization, helped, hurt, unchanged, meanA, meanB, verdict } = effect;
  return (
    <section class={`card verdict ${verdict.kind}`} aria-labelledby="verdict-heading">
      <h2 id="verdict-heading">{sentence(verdict.words)}</h2>
      <dl class="figures">
        <div>
          <dt>
            Mean change of <Text value={comparison.measure} />
          </dt>
          <dd class={delta > 0 ? 'gain' : delta < 0 ? 'loss' : ''}>{signed(delta)}</dd>
          <dd class="soft">
            {score(meanA)} to {score(meanB)}
          </dd>
        </div>
        <div>
          <dt>95 % interval</dt>
          <dd>
            {signed(interval[0])} to {signed(interval[1])}
          </dd>
        </div>
        <div>
          <dt>p, randomisation test</dt>
          <dd>{pValue(randomization)}</dd>
          <dd class="soft">t-test {pValue(effect.tTest)}</dd>
        </div>
        <div>
          <dt>Helped, hurt, unchanged</dt>
          <dd>
            <span class="gain">{count(helped)}</span>, <span class="loss">{count(hurt)}</span>, {count(unchanged)}
          </dd>
        </div>
      </dl>
      <p class="soft">{verdict.reason}</p>
    </section>
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
