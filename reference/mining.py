"""Negatives that sentence-transformers' mine_hard_negatives chooses, with the tiny encoder.

    pip install sentence-transformers==6.2.0 transformers==5.24.0 torch==2.15.0 datasets
    python reference/mining.py

writes src/retrieve/goldens/mining.json: rows, a corpus, and for each way of mining the negatives of every query, best first, with their
scores. What was read in 6.2.0's source: queries and documents have length 1; positives (by text, of all rows of the query) are dropped
first, then candidates by absolute margin, relative margin (of the least similar positive), greatest and least score; the range of ranks
counts what is left; a query with fewer negatives than wanted keeps what it has (as triplets).
"""

import os
import random

os.environ["HF_HUB_OFFLINE"] = "1"

import sentence_transformers  # noqa: E402
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from golden_file import ROOT, write_json  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.util import mine_hard_negatives  # noqa: E402

BASE = ROOT / "src" / "embed" / "goldens" / "tiny-encoder"
WORDS = "river stone cloud engine paper light garden window music winter salt bridge".split()
SETTINGS = {
    "top": {"num_negatives": 3},
    "a range": {"num_negatives": 2, "range_min": 3, "range_max": 8},
    "absolute margin": {"num_negatives": 4, "absolute_margin": 0.05, "range_max": 20},
    "relative margin": {"num_negatives": 4, "relative_margin": 0.05},
    "scores": {"num_negatives": 5, "max_score": 0.9, "min_score": 0.6, "range_max": 30},
    "everything": {"num_negatives": 2, "range_min": 1, "range_max": 12, "relative_margin": 0.02, "max_score": 0.95},
}


def text(seed, length):
    return " ".join(WORDS[(seed * 7 + at * 5 + (seed * at) % 3) % len(WORDS)] for at in range(length))


CORPUS = [f"{text(i, 3 + i % 9)} {i}" for i in range(40)]
ROWS = [{"query": f"{text(3 * i + 1, 4)} {i}", "positives": [CORPUS[5 * i], *([CORPUS[5 * i + 2]] if i % 3 == 0 else [])]} for i in range(8)]


def mine(settings):
    model = SentenceTransformer(str(BASE), device="cpu").eval()
    pairs = [(row["query"], positive) for row in ROWS for positive in row["positives"]]
    dataset = Dataset.from_dict({"query": [q for q, _ in pairs], "positive": [p for _, p in pairs]})
    found = mine_hard_negatives(dataset, model, corpus=CORPUS, output_scores=True, verbose=False, **settings)
    result = []
    for row in ROWS:
        own = [r for r in found if r["query"] == row["query"] and r["positive"] == row["positives"][0]]
        result.append([{"text": r["negative"], "score": round(r["scores"][1], 6)} for r in own])
    return result


if __name__ == "__main__":
    random.seed(0)
    torch.set_num_threads(1)
    peer = f"sentence-transformers {sentence_transformers.__version__}, by reference/mining.py"
    runs = {name: {"settings": settings, "negatives": mine(settings)} for name, settings in SETTINGS.items()}
    write_json(ROOT / "src" / "retrieve" / "goldens" / "mining.json", {"peer": peer, "corpus": CORPUS, "rows": ROWS, "runs": runs})
