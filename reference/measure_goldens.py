"""Golden values of the measures and the paired tests, from pytrec_eval (trec_eval's own C code) and SciPy.

    python reference/measure_goldens.py

writes src/measures/goldens/measures.json and src/measures/goldens/tests.json next to this repository's sources.
Made with pytrec_eval-terrier 0.5.11, scipy 1.17.1, numpy 2.4.6.

Two values that pytrec_eval does not report are derived from it:
- reciprocal rank within the top k: its recip_rank of the run cut to the k best (cut in trec_eval's order);
- averages: its own sums, divided by the queries in both run and qrels, or by all judged queries (trec_eval's -c).
R_cap and Hole are BEIR's, implemented here again, independently, because pytrec_eval has neither.
"""

import json
import pathlib
import random

import numpy as np
import pytrec_eval
import scipy.stats

CUTOFFS = [1, 3, 5, 10, 100, 1000]
CUT = ','.join(map(str, CUTOFFS))
MEASURES = {f'{name}.{CUT}' for name in ('ndcg_cut', 'map_cut', 'recall', 'P', 'success')} | {
    'ndcg', 'map', 'recip_rank', 'Rprec', 'bpref', 'set_P', 'set_recall', 'set_F', 'set_map',
    'num_ret', 'num_rel', 'num_rel_ret', 'num_q',
}
FOLDER = pathlib.Path(__file__).resolve().parent.parent / 'src' / 'measures' / 'goldens'


def ranked(hits):
    """Ids in trec_eval's order: 32-bit score descending, then the bytes of the id descending."""
    return sorted(hits, key=lambda d: (np.float32(hits[d]), d.encode()), reverse=True)


def evaluate(qrels, run, level):
    values = pytrec_eval.RelevanceEvaluator(qrels, MEASURES, relevance_level=level).evaluate(run)
    for k in CUTOFFS:
        cut = {q: {d: hits[d] for d in ranked(hits)[:k]} for q, hits in run.items()}
        first = pytrec_eval.RelevanceEvaluator(qrels, {'recip_rank'}, relevance_level=level).evaluate(cut)
        pool = {d for judged in qrels.values() for d in judged}
        for q in values:
            top = ranked(run[q])[:k]
            relevant = sum(g >= level for g in qrels[q].values())
            found = sum(qrels[q].get(d, -1) >= level for d in top)
            values[q][f'recip_rank_cut_{k}'] = first[q]['recip_rank']
            values[q][f'R_cap_{k}'] = found / min(k, relevant) if relevant else 0.0
            values[q][f'Hole_{k}'] = sum(d not in pool for d in top) / k
    return values


def average(values, measure, queries):
    total = sum(row[measure] for row in values.values())
    return total if measure.startswith('num_') else total / queries


def case(name, qrels, run, level=1):
    values = evaluate(qrels, run, level)
    names = sorted(next(iter(values.values())))
    complete = {m: average(values, m, len(qrels)) for m in names}
    # Under -c a missing query adds 0 to every measure (num_rel too) and 1 to the number of queries.
    complete['num_q'] = len(qrels)
    short = lambda row: [round(row[m], 7) for m in names]  # noqa: E731
    return {
        'name': name, 'relevanceLevel': level, 'qrels': qrels, 'run': run, 'names': names,
        'perQuery': {q: short(row) for q, row in values.items()},
        'all': short({m: average(values, m, len(values)) for m in names}),
        'complete': short(complete),
    }


def draw(rng, queries, hits, judged, grades, score, ids='d{}', prefix='q'):
    """Random judgements, and a random run over twice as many documents as it may retrieve."""
    documents = [ids.format(i) for i in range(2 * hits)]
    qrels, run = {}, {}
    for i in range(queries):
        qrels[f'{prefix}{i}'] = {d: rng.choice(grades) for d in rng.sample(documents, judged)}
        run[f'{prefix}{i}'] = {d: score(rng) for d in rng.sample(documents, hits)}
    return qrels, run


def measure_cases():
    rng = random.Random(20250217)
    real = lambda r: round(r.gauss(0, 5), 5)  # noqa: E731
    tied = lambda r: r.choice([1.0, 2.0, 3.0])  # noqa: E731
    # Different as 64-bit numbers, equal as 32-bit ones (spacing near 16 is 1.9e-6).
    near = lambda r: r.choice([16.0, 17.0]) + r.randrange(9) * 1e-8  # noqa: E731

    yield case('binary', *draw(rng, 10, 30, 8, [1], real))
    yield case('graded, zero and negative', *draw(rng, 12, 40, 20, [-2, -1, 0, 0, 1, 2, 3], real))
    yield case('relevance level 2', *draw(rng, 10, 30, 20, [-1, 0, 1, 2, 3, 7], real), level=2)
    yield case('tied', *draw(rng, 10, 40, 20, [0, 1, 2], tied))
    yield case('tied as 32-bit numbers only', *draw(rng, 10, 40, 20, [0, 1, 2], near))
    yield case('tied, numbers as ids', *draw(rng, 8, 40, 20, [0, 1], tied, ids='{}', prefix=''))

    # UTF-8 bytes and UTF-16 code units order these differently: U+FF5A is below U+1F600.
    letters = ['a', 'z', '\u00e9', '\u0416', '\u6f22', '\uff5a', '\ufffd', '\U0001f600', '\U00010348']
    documents = [a + b for a in letters for b in letters]
    qrels = {f'q\u00fc{i}': {d: rng.choice([0, 1, 2]) for d in rng.sample(documents, 40)} for i in range(5)}
    run = {q: {d: tied(rng) for d in rng.sample(documents, 50)} for q in qrels}
    yield case('ids beyond ASCII', qrels, run)

    qrels, run = draw(rng, 8, 20, 10, [0, 1, 2], real)
    run['q0'] = {}
    del run['q1'], qrels['q2'], run['q7']
    qrels['q3'] = {d: 0 for d in qrels['q3']}
    run['q4'] = {f'other{i}': float(i) for i in range(12)}
    run['q5'] = {d: run['q5'][d] for d in list(run['q5'])[:2]}
    yield case('empty, missing, unjudged, without relevant documents', qrels, run)

    yield case('deep', *draw(rng, 2, 1300, 200, [0, 0, 0, 1, 2], lambda r: round(r.random(), 4)))


def test_cases():
    rng = np.random.default_rng(7)
    pairs = {
        'small effect, 50': (a := rng.random(50), np.clip(a + rng.normal(0.03, 0.1, 50), 0, 1)),
        'no effect, 200': (rng.random(200), rng.random(200)),
        'strong effect, 300': (a := rng.random(300), a + rng.normal(0.2, 0.1, 300)),
        'mostly unchanged, 100': (a := rng.random(100), a + np.where(rng.random(100) < 0.1, 0.2, 0.0)),
        'few, 8': (a := rng.random(8), a + rng.normal(0.1, 0.1, 8)),
        'two': (np.array([0.1, 0.5]), np.array([0.2, 0.9])),
    }
    for name, (a, b) in pairs.items():
        a, b = np.round(a, 4), np.round(b, 4)
        t = scipy.stats.ttest_rel(b, a)
        mean = lambda x, axis: np.mean(x, axis=axis)  # noqa: E731
        flips = scipy.stats.permutation_test(
            (b - a,), mean, permutation_type='samples', n_resamples=99_999, rng=11)
        boot = scipy.stats.bootstrap(
            (b - a,), np.mean, method='percentile', n_resamples=99_999, rng=12, batch=1000).confidence_interval
        yield {'name': name, 'a': a.tolist(), 'b': b.tolist(), 't': t.statistic, 'df': int(t.df), 'p': t.pvalue,
               'randomization': flips.pvalue, 'exact': bool(2 ** len(a) <= 99_999), 'low': boot.low, 'high': boot.high}


def student_cases():
    for df in (1, 2, 5, 29, 99, 999, 50_000):
        for t in (0.0, 1e-6, 0.01, 0.7, 1.96, 3.3, 8.0, 40.0):
            yield [t, df, float(2 * scipy.stats.t.sf(t, df))]


def write(name, content):
    (FOLDER / name).write_text(json.dumps(content, separators=(',', ':'), ensure_ascii=False) + '\n', encoding='utf-8')


FOLDER.mkdir(parents=True, exist_ok=True)
write('measures.json', list(measure_cases()))
write('tests.json', {'paired': list(test_cases()), 'student': list(student_cases())})
