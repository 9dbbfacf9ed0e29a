"""Golden values of Cohen's kappa, from scikit-learn.

    python reference/kappa_goldens.py

writes src/measures/goldens/kappa.json next to this repository's sources. Made with scikit-learn 1.9.1.
A kappa that scikit-learn does not define (both judges give one grade throughout) is null.
"""

import json
import math
import pathlib
import random
import warnings

from sklearn.metrics import cohen_kappa_score

FILE = pathlib.Path(__file__).resolve().parent.parent / 'src' / 'measures' / 'goldens' / 'kappa.json'
GRADES = [0, 1, 2, 3]


def kappa(first, second, weights=None):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        value = float(cohen_kappa_score(first, second, labels=GRADES, weights=weights))
    return None if math.isnan(value) else value


def case(name, first, second):
    linear = kappa(first, second, 'linear')
    return {'name': name, 'first': first, 'second': second, 'kappa': kappa(first, second), 'weighted': linear}


def drawn(name, count, seed, noise):
    draw = random.Random(seed)
    first = [draw.choice([0, 0, 0, 1, 2, 3]) for _ in range(count)]
    second = [draw.choice(GRADES) if draw.random() < noise else grade for grade in first]
    return case(name, first, second)


CASES = [
    case('equal', [0, 1, 2, 3], [0, 1, 2, 3]),
    case('opposite', [0, 3, 0, 3], [3, 0, 3, 0]),
    case('one apart', [0, 1, 2, 3, 0, 1], [1, 2, 3, 3, 0, 1]),
    case('one judge has one grade', [0, 0, 0, 0], [0, 1, 2, 0]),
    case('both have the same one grade', [2, 2, 2], [2, 2, 2]),
    case('a single item', [1], [2]),
    drawn('60 items, some noise', 60, 1, 0.3),
    drawn('200 items, much noise', 200, 2, 0.8),
    drawn('200 items at random', 200, 3, 1.0),
]

FILE.write_text('[\n' + ',\n'.join(json.dumps(one) for one in CASES) + '\n]\n')
