"""Golden values of the gate's models and bounds, from scikit-learn and SciPy.

    python reference/gate_goldens.py

writes src/gate/goldens/models.json, src/gate/goldens/harm.json and src/measures/goldens/bounds.json next to this repository's
sources.
Made with scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6.

The rank-biased overlap is computed here again, independently, from the definition of agreement at each depth
(Webber, Moffat and Zobel 2010): the sum over all depths with the agreement of the last one carried on to infinity,
cut where p^d is below 1e-18.
"""

import json
import pathlib

import numpy as np
import scipy.stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

SRC = pathlib.Path(__file__).resolve().parent.parent / 'src'
RANDOM = np.random.default_rng(7)


def logistic():
    cases = []
    for examples, features, penalty in [(60, 3, 1.0), (40, 6, 0.1), (30, 2, 25.0)]:
        rows = np.round(RANDOM.normal(size=(examples, features)), 3)
        odds = rows @ RANDOM.normal(size=features) + 0.4
        labels = RANDOM.random(examples) < 1 / (1 + np.exp(-odds))
        weights = np.round(RANDOM.random(examples), 3)
        weights[:3] = 0
        model = LogisticRegression(C=1 / penalty, solver='newton-cholesky', tol=1e-12, max_iter=1000)
        model.fit(rows, labels, sample_weight=weights)
        cases.append({
            'rows': rows.tolist(), 'labels': labels.tolist(), 'weights': weights.tolist(), 'penalty': penalty,
            'intercept': model.intercept_[0], 'coefficients': model.coef_[0].tolist(),
            'probabilities': model.predict_proba(rows)[:5, 1].tolist(),
        })
    return cases


def isotonic():
    cases = []
    for examples, kinds in [(40, 400), (50, 12), (6, 3)]:
        x = np.round(RANDOM.normal(size=examples) * kinds) / kinds
        y = (RANDOM.random(examples) < 1 / (1 + np.exp(-2 * x))).astype(float)
        weights = np.round(RANDOM.random(examples) + 0.01, 3)
        model = IsotonicRegression(out_of_bounds='clip').fit(x, y, sample_weight=weights)
        asked = np.round(np.linspace(x.min() - 0.5, x.max() + 0.5, 21), 4)
        cases.append({'x': x.tolist(), 'y': y.tolist(), 'weights': weights.tolist(),
                      'asked': asked.tolist(), 'values': model.predict(asked).tolist()})
    return cases


def bounds():
    cases = []
    for count, total in [(0, 1), (0, 10), (1, 10), (9, 10), (10, 10), (3, 50), (25, 50), (17, 300), (0, 1000), (4999, 7000)]:
        for confidence in (0.9, 0.95, 0.99):
            exact = scipy.stats.binomtest(count, total, alternative='less').proportion_ci(confidence, method='exact').high
            cases.append([count, total, confidence, float(exact)])
    return cases


def overlap():
    def agreement(a, b, d):
        return len(set(a[:d]) & set(b[:d])) / d

    cases = []
    for size, shift, p in [(1, 0, 0.9), (1, 5, 0.9), (10, 0, 0.9), (10, 3, 0.9), (25, 8, 0.98), (25, 40, 0.9), (7, 2, 0.5)]:
        a = [f'd{i}' for i in RANDOM.permutation(size)]
        b = [f'd{i + shift}' for i in RANDOM.permutation(size)]
        total, weight, d = 0.0, 1.0, 1
        while weight > 1e-18:
            total += weight * agreement(a, b, min(d, size))
            weight *= p
            d += 1
        cases.append({'a': a, 'b': b, 'p': p, 'value': (1 - p) * total})
    return cases


def harm():
    """Fixed-sequence testing (Learn then Test, Angelopoulos et al. 2021): thresholds are tested from the most cautious one on, each by
    the exact binomial test of the hypothesis that the risk exceeds the limit; the last one before the first failure is chosen."""
    random = np.random.default_rng(11)
    cases = []
    for total, limit, rise in [(59, 0.05, 0), (58, 0.05, 0), (150, 0.05, 0.6), (300, 0.1, 2.0), (1000, 0.02, 1.0), (40, 0.2, 3.0)]:
        harmed = np.cumsum(random.poisson(rise, size=12)).clip(0, total).tolist()
        ps = [float(scipy.stats.binomtest(k, total, limit, alternative='less').pvalue) for k in harmed]
        chosen = next((at for at, p in enumerate(ps) if p > 0.05), len(ps)) - 1
        cases.append({'total': total, 'limit': limit, 'harmed': harmed, 'p': ps, 'chosen': chosen})
    return cases


def write(file, document):
    lines = ',\n'.join(
        f' {json.dumps(name)}: [\n' + ',\n'.join('  ' + json.dumps(case, separators=(',', ':')) for case in cases) + '\n ]'
        for name, cases in document.items())
    file.parent.mkdir(exist_ok=True)
    file.write_text('{\n' + lines + '\n}\n')


write(SRC / 'gate/goldens/models.json', {'logistic': logistic(), 'isotonic': isotonic()})
write(SRC / 'measures/goldens/bounds.json', {'bounds': bounds(), 'overlap': overlap()})
write(SRC / 'gate/goldens/harm.json', {'sequences': harm()})
