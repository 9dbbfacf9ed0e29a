"""Golden hits of Anserini for feedback and for searching two fields, for src/search/goldens/anserini.json.

Runs Anserini 0.22.1 (the jar in the package pyserini 0.22.1; Java 11 or later) on a small seeded corpus. Its run files
round scores to four digits; the weights of feedback terms, from its log, are exact. Anserini orders equal scores by id, ascending,
and lowers them a little in that order. It does not index documents without a text, so all have one here.

    pip download --no-deps pyserini==0.22.1 && unzip -j pyserini-*.whl '*.jar'
    python reference/anserini.py anserini-0.22.1-fatjar.jar
"""

import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path(__file__).parent.parent / "src" / "search" / "goldens" / "anserini.json"
METHODS = {
    "bm25": [],
    "rm3": ["-rm3", "-rm3.outputQuery"],
    "rm3 of 3 terms, 5 documents, weight 0.7": [
        "-rm3", "-rm3.outputQuery", "-rm3.fbTerms", "3", "-rm3.fbDocs", "5", "-rm3.originalQueryWeight", "0.3",
    ],
    "rocchio": ["-rocchio", "-rocchio.outputQuery"],
    "rocchio of 5 terms, 4 documents, weight 0.4": [
        "-rocchio", "-rocchio.outputQuery", "-rocchio.topFbTerms", "5", "-rocchio.topFbDocs", "4", "-rocchio.beta", "0.4",
    ],
    "bm25-prf": ["-bm25prf"],
    "bm25-prf of 1000 terms, 6 documents, weight 0.4": [
        "-bm25prf", "-bm25prf.fbTerms", "1000", "-bm25prf.fbDocs", "6", "-bm25prf.newTermWeight", "0.4",
    ],
}  # fmt: skip
SYLLABLES = "ba ce di fo gu la me ni po ru sa te vi zo".split()


def vocabulary(source: random.Random) -> list[str]:
    words = ["".join(source.choices(SYLLABLES, k=source.choice([1, 2, 2, 3, 4]))) for _ in range(500)]
    return words + ["naïve", "é", "x", "7", "1984", "covid19", "wi-fi", "a" * 21, "b" * 20, "日本", "U.S."]


def passage(source: random.Random, words: list[str], length: int) -> str:
    # The first words are frequent, as in language.
    return " ".join(words[min(int(source.paretovariate(0.55)) - 1, len(words) - 1)] for _ in range(length))


def java(jar: str, *words: str) -> str:
    done = subprocess.run(["java", "-cp", jar, *words], capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr.decode())
    return done.stdout.decode()


def read_run(file: Path) -> dict[str, list]:
    hits: dict[str, list] = {}
    for line in file.read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        hits.setdefault(query, []).append([document, float(score)])
    return {query: found[:20] for query, found in sorted(hits.items())}


def read_weights(log: str) -> dict[str, dict[str, float]]:
    """The last weights that the log holds for each query."""
    weights: dict[str, dict[str, float]] = {}
    query = None
    for line in log.splitlines():
        if found := re.search(r"QID: (\S+)", line):
            query = found[1]
            weights[query] = {}
        elif found := re.search(r"Feedback term: (\S+) -> (\S+)", line):
            weights[query][found[1]] = float(found[2])
    return {query: dict(sorted(found.items())) for query, found in sorted(weights.items())}


def main() -> None:
    jar = sys.argv[1]
    source = random.Random(20250217)
    words = vocabulary(source)
    documents = [
        [f"d{number}", passage(source, words, source.choice([0, 1, 2, 5])), passage(source, words, source.choice([1, 8, 25, 60]))]
        for number in range(150)
    ]  # fmt: skip
    queries = [[f"q{number}", passage(source, words, 3)] for number in range(8)]
    queries += [["repeated", f"{words[40]} {words[40]} {words[41]}"], ["unknown", "zyzzyva"], ["d7", documents[7][2]]]
    queries += [["long", passage(source, words, 60)]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        rows = [{"_id": id, "title": title, "text": text, "metadata": {}} for id, title, text in documents]
        (folder / "corpus" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in queries))
        for kind, more in (("Flat", []), ("Multifield", ["-fields", "title"])):
            java(
                jar, "io.anserini.index.IndexCollection", "-collection", f"Beir{kind}Collection", "-input", str(folder / "corpus"),
                "-index", str(folder / kind), "-generator", "DefaultLuceneDocumentGenerator", "-threads", "1",
                "-storePositions", "-storeDocvectors", "-storeRaw", *more,
            )  # fmt: skip

        def search(kind: str, options: list[str]) -> tuple[dict, dict]:
            log = java(
                jar, "io.anserini.search.SearchCollection", "-index", str(folder / kind), "-topics", str(folder / "topics.tsv"),
                "-topicreader", "TsvString", "-output", str(folder / "run"), "-hits", "1000", "-parallelism", "1", "-bm25", *options,
            )  # fmt: skip
            return read_run(folder / "run"), read_weights(log)

        methods = {}
        for method, options in METHODS.items():
            hits, weights = search("Flat", options)
            methods[method] = {"hits": hits, "weights": weights}
        multifield, _ = search("Multifield", ["-fields", "contents=1.0", "title=1.0"])
    golden = {
        "peer": "Anserini 0.22.1, by reference/anserini.py",
        "documents": documents,
        "queries": queries,
        "methods": methods,
        "multifield": multifield,
    }
    OUT.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[") + "\n")


main()
