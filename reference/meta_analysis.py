"""Golden values of the random-effects meta-analysis, from statsmodels (combine_effects) and SciPy.

    python reference/meta_analysis.py

writes src/measures/goldens/meta-analysis.json. Made with statsmodels 0.15.0, scipy 1.17.1, numpy 2.4.6.
statsmodels does not cut a negative variance between studies off at 0, so its fixed-effect results stand for such cases; it has no prediction interval; that of Higgins, Thompson and Spiegelhalter (2009) is computed here with SciPy's t.
"""

import json
import pathlib

import numpy as np
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

FILE = pathlib.Path(__file__).resolve().parent.parent / 'src' / 'measures' / 'goldens' / 'meta-analysis.json'


def case(name, effects, variances):
    effects, variances = np.array(effects), np.array(variances)
    result = combine_effects(effects, variances, method_re='dl', use_t=True)
    count, tau2 = len(effects), max(0.0, result.tau2)
    differ = result.tau2 > 0
    mean, error = (
        (result.mean_effect_re, result.sd_eff_w_re_hksj) if differ else (result.mean_effect_fe, result.sd_eff_w_fe_hksj)
    )
    # The order: fixed, random, fixed with scale, random with scale (HKSJ).
    low, high = result.conf_int(alpha=0.05)[3 if differ else 2]
    golden = {
        'studies': count, 'effect': mean, 'standardError': error, 'interval': {'low': low, 'high': high},
        'p': 2 * stats.t.sf(abs(mean / error), count - 1), 'tauSquared': tau2, 'q': result.q,
        'iSquared': max(0.0, result.i2),
    }
    if count > 2:
        half = stats.t.ppf(0.975, count - 2) * np.sqrt(tau2 + 1 / (1 / (variances + tau2)).sum())
        golden['prediction'] = {'low': mean - half, 'high': mean + half}
    studies = [{'effect': float(e), 'variance': float(v)} for e, v in zip(effects, variances)]
    return {'name': name, 'studies': studies, 'golden': golden}


random = np.random.default_rng(12)
CASES = [
    case('fifteen sets that differ', random.normal(0.02, 0.04, 15).round(6), (random.uniform(0.002, 0.02, 15) ** 2).round(9)),
    case('five sets that agree', [0.010, 0.012, 0.011, 0.009, 0.0105], [4e-5, 9e-5, 2e-5, 1e-4, 5e-5]),
    case('two sets', [0.05, -0.01], [1e-4, 2e-4]),
    case('three sets, one of them precise', [0.03, -0.02, 0.10], [1e-6, 1e-3, 1e-2]),
]
FILE.write_text(json.dumps(CASES, indent=1, default=float) + '\n')
