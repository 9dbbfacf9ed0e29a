import type { Retriever } from '../retrieve/index.ts';
import { UsageError } from '../system/index.ts';
import { type CalibratedModel, probabilityUnder, strongestFeature } from './calibrated-model.ts';
import { type Feature, type Features, textFeatures } from './features.ts';
import { type GateData, readGateFile } from './gate-file.ts';
import { otherSettings } from './made-for.ts';
import { weightPlace } from './policy.ts';

/** Whether to have an expansion written. */
export interface BeforeDecision {
  expand: boolean;
  /** Calibrated share of gains among the changes that expansion makes to such queries: above 0.5, the expected change is a gain. */
  probability: number;
  /** One sentence. */
  reason: string;
}

/** How much weight the expansions get. */
export interface AfterDecision {
  /** An alpha; for a lexical search 1 (expanded) or 0 (not expanded). */
  weight: number;
  probability: number;
  reason: string;
}

/**
 * Decides query by query whether to expand, and with which weight. It needs no index and no model: the caller passes the features it
 * knows, and those that are missing have no influence. `readBefore` and `readAfter` compute all of them with a search.
 */
export class Gate {
  readonly data: GateData;

  constructor(data: GateData) {
    this.data = data;
  }

  /** @throws DataError if the file is missing or no gate; ResourceError */
  static async open(file: string): Promise<Gate> {
    return new Gate(await readGateFile(file));
  }

  /**
   * Decides before anything is written.
   * @param query its text, from which the features of the text are computed
   * @param features those that are known beyond the text
   */
  before(query: string, features: Features = {}): BeforeDecision {
    const { before, policy } = this.data;
    const known = { ...textFeatures(query), ...features };
    const probability = probabilityUnder(before, known);
    const expand = probability >= policy.writeFrom;
    return {
      expand,
      probability,
      reason: reasonFor(before, known, { isYes: expand, probability, from: policy.writeFrom }),
    };
  }

  /**
   * Decides on the weight once expansions are written. A query that {@link before} refused has weight 0 without asking.
   * @param features those that are known beyond the text of the query, from before and after writing
   */
  after(query: string, features: Features): AfterDecision {
    const { after, policy, weights } = this.data;
    const known = { ...textFeatures(query), ...features };
    const probability = probabilityUnder(after, known);
    const weight = weights[weightPlace(policy, weights, Number.POSITIVE_INFINITY, probability)]!;
    return {
      ...{ weight, probability },
      reason: reasonFor(after, known, { isYes: weight > 0, probability, from: policy.weightFrom }),
    };
  }

  /** Whether the queries of a split are among those that it was trained on: figures on them are too good to be true. */
  wasTrainedOn(dataset: string, split: string): boolean {
    return this.data.trainedOn.some((one) => one.dataset === dataset && one.split === split);
  }

  /**
   * Returns one sentence for each way in which a search differs from the one the gate was trained for.
   * @throws UsageError for another kind of search, whose scores the gate cannot read
   */
  compareWith(retriever: Pick<Retriever, 'name' | 'settings'>): string[] {
    const { madeFor } = this.data;
    if (retriever.name !== madeFor.retriever) {
      throw new UsageError(`the gate was trained for --retriever ${madeFor.retriever}, not ${retriever.name}`, {
        fix: `Pass --retriever ${madeFor.retriever}, or train a gate for ${retriever.name} with \`llm-qe gate train\`.`,
      });
    }
    return otherSettings(madeFor, retriever).map(
      (words) => `the gate was trained for another search (${words}): its choices may be poor`,
    );
  }
}

function reasonFor(
  model: CalibratedModel,
  features: Features,
  { isYes, probability, from }: { isYes: boolean; probability: number; from: number },
): string {
  const compared = isYes
    ? `gains outweigh losses with probability ${probability.toFixed(2)}, at least ${from.toFixed(2)}`
    : from > 1
      ? 'expansion did not pay for any query it was trained on'
      : `gains outweigh losses with probability ${probability.toFixed(2)} only, below ${from.toFixed(2)}`;
  const strongest = strongestFeature(model, features, isYes ? 'up' : 'down');
  return strongest === undefined ? compared : `${compared}; mostly because of ${inWords(strongest)}`;
}

function inWords({ name, value }: { name: Feature; value: number }): string {
  return `${name} (${Number(value.toPrecision(3))})`;
}
