"""Golden fusions of Pyserini, for src/search/goldens/fusion.json: reciprocal ranks, and the mean of normalised scores.

Calls the run tools of pyserini 0.22.1 (trectools, which needs pandas) as its later command `fusion --method normalize`
does: scores from 0 to 1 for each query of a run, each run scaled by its weight, and summed.

    pip install pandas && pip download --no-deps pyserini==0.22.1 && unzip pyserini-*.whl -d WHEEL
    python reference/fusion.py WHEEL
"""

import importlib.util
import json
import random
import sys
import tempfile
from pathlib import Path

OUT = Path(__file__).parent.parent / "src" / "search" / "goldens" / "fusion.json"
DEPTH = 10


def trectools(wheel: str):
    # The file alone: the package around it starts Java.
    spec = importlib.util.spec_from_file_location("trectools", Path(wheel, "pyserini", "trectools", "_base.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_run(source: random.Random, low: float, high: float) -> dict:
    run = {}
    for query in ("q1", "q2", "q3"):
        documents = source.sample([f"d{number}" for number in range(20)], 10)
        scores = sorted((round(source.uniform(low, high), 4) for _ in documents), reverse=True)
        run[query] = [[document, score] for document, score in zip(documents, scores, strict=True)]
    return run


def main() -> None:
    tools = trectools(sys.argv[1])
    source = random.Random(20250217)
    runs = [random_run(source, -0.2, 0.9), random_run(source, 3, 40)]
    runs[1]["q3"] = [["d1", 2.5], ["d0", 2.5]]  # equal scores
    del runs[0]["q2"][4:]

    def fuse(rescore) -> dict:
        fused = []
        for at, run in enumerate(runs):
            with tempfile.NamedTemporaryFile("w", suffix=".trec") as file:
                for query, hits in run.items():
                    for rank, (document, score) in enumerate(hits, 1):
                        file.write(f"{query} Q0 {document} {rank} {score} run\n")
                file.flush()
                fused.append(rescore(tools.TrecRun(file.name), at))
        merged = tools.TrecRun.merge(fused, tools.AggregationMethod.SUM, depth=DEPTH, k=DEPTH)
        rows = merged.run_data[["topic", "docid", "score"]].values.tolist()
        return {query: [[document, score] for topic, document, score in rows if topic == query] for query in runs[0]}

    def normalized(weights):
        def rescore(run, at):
            run.rescore(tools.RescoreMethod.NORMALIZE)
            return run.rescore(tools.RescoreMethod.SCALE, scale=weights[at])

        return rescore

    golden = {
        "peer": "pyserini 0.22.1 trectools, by reference/fusion.py",
        "depth": DEPTH,
        "runs": runs,
        "rrf": fuse(lambda run, _at: run.rescore(tools.RescoreMethod.RRF, rrf_k=60)),
        "minmax": fuse(normalized([0.5, 0.5])),
        "minmax of weights 0.7 and 0.3": fuse(normalized([0.7, 0.3])),
    }
    OUT.write_text(json.dumps(golden, separators=(",", ":")).replace("]],", "]],\n") + "\n")


main()
