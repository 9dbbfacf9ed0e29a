import { evaluateRun, type Qrels, type Run, type ScoredDocument } from '../../src/measures/index.ts';
import { Random } from '../../src/system/index.ts';
import { medianSeconds, REPETITIONS, type Row, runPeer } from '../harness.ts';

const QUERIES = 1000;
const HITS = 1000;
const PEER_MEASURES = [
  'ndcg_cut',
  'map_cut',
  'recall',
  'P',
  'recip_rank',
  'map',
  'success',
  'set_P',
  'set_recall',
  'set_F',
  'Rprec',
];

/** Scores 1,000 queries of 1,000 hits with the complete set of measures. Both sides get their native structures. */
export async function run(): Promise<Row[]> {
  const { qrels, run: hits } = makeRun();
  const ours = await medianSeconds(() => evaluateRun(qrels, hits));
  const peer = runPeer<{ seconds: number; ndcg_cut_10: number }>('measures.py', {
    qrels: Object.fromEntries([...qrels].map(([id, grades]) => [id, Object.fromEntries(grades)])),
    run: Object.fromEntries(
      [...hits].map(([id, list]) => [id, Object.fromEntries(list.map((hit) => [hit.id, hit.score]))]),
    ),
    measures: PEER_MEASURES,
    repetitions: REPETITIONS,
  });
  const mean = evaluateRun(qrels, hits, { measures: ['ndcg_cut_10'] }).mean.ndcg_cut_10!;
  const agrees = peer === undefined ? undefined : Math.abs(peer.ndcg_cut_10 - mean) < 1e-5;
  return [
    {
      what: `score ${QUERIES} x ${HITS}`,
      unit: 's',
      largerIsBetter: false,
      ours,
      peer: peer?.seconds,
      peerName: 'pytrec_eval',
      note: agrees === undefined ? undefined : agrees ? 'nDCG@10 equal to 5 decimals' : 'nDCG@10 DIFFERS',
    },
  ];
}

function makeRun(): { qrels: Qrels; run: Run } {
  const random = new Random(7);
  const qrels: Qrels = new Map();
  const run = new Map<string, ScoredDocument[]>();
  for (let query = 0; query < QUERIES; query++) {
    const hits = Array.from({ length: HITS }, (_none, row) => ({
      id: `d${row * 7 + random.below(7)}`,
      score: random.uniform(),
    }));
    const grades = Array.from({ length: 30 }, (): [string, number] => [`d${random.below(7 * HITS)}`, random.below(4)]);
    qrels.set(`q${query}`, new Map(grades));
    run.set(`q${query}`, hits);
  }
  return { qrels, run };
}
