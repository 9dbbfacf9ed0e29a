"""Golden hits of exact search by NumPy, for src/search/goldens/exact-search.json.

Two sets of vectors: small integers, whose products are exact in 32 bits, with many doubled rows (ties by id,
descending); and floats. Scores are computed in 64 bits.

    python reference/exact_search.py
"""

import json
from pathlib import Path

import numpy

OUT = Path(__file__).parent.parent / "src" / "search" / "goldens" / "exact-search.json"
K = 20


def ranking(scores: numpy.ndarray, ids: list[str]) -> list:
    order = sorted(range(len(ids)), key=lambda row: ids[row].encode(), reverse=True)
    order.sort(key=lambda row: -numpy.float32(scores[row]))
    return [[ids[row], round(float(scores[row]), 7)] for row in order[:K]]


def unit(vectors: numpy.ndarray) -> numpy.ndarray:
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / numpy.where(lengths == 0, 1, lengths)


def golden(corpus: numpy.ndarray, queries: numpy.ndarray, cosine: bool) -> dict:
    ids = [f"doc {row * 7919 % 1000}" for row in range(len(corpus))]
    hits = {"dot": [ranking(scores, ids) for scores in queries @ corpus.T]}
    if cosine:
        hits["cosine"] = [ranking(scores, ids) for scores in unit(queries) @ unit(corpus).T]
    return {"ids": ids, "corpus": corpus.tolist(), "queries": queries.tolist(), "hits": hits}


def main() -> None:
    source = numpy.random.default_rng(20250217)
    integers = source.integers(-3, 4, (240, 12))
    integers[60:120] = integers[7]
    integers[200:230] = 0
    floats = source.standard_normal((200, 24)).round(3).astype("f4").astype("f8").round(3)
    floats[11] = 0
    queries = source.standard_normal((5, 24)).round(3)
    sets = {
        "peer": f"NumPy {numpy.__version__}, by reference/exact_search.py",
        "integers": golden(integers, source.integers(-3, 4, (6, 12)), cosine=False),
        "floats": golden(floats, queries, cosine=True),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(sets, separators=(",", ":")).replace("],[", "],\n[") + "\n")


main()
