"""Seconds of pytrec_eval. In: {qrels: {query: {document: grade}}, run: {query: {document: score}}, measures, repetitions}."""
import json, sys, time
import pytrec_eval

job = json.load(sys.stdin)
seconds = []
for _ in range(job["repetitions"] + 1):
    started = time.perf_counter()
    evaluator = pytrec_eval.RelevanceEvaluator(job["qrels"], set(job["measures"]))
    scores = evaluator.evaluate(job["run"])
    seconds.append(time.perf_counter() - started)
mean = sum(row["ndcg_cut_10"] for row in scores.values()) / len(scores)
print(json.dumps({"seconds": sorted(seconds[1:])[job["repetitions"] // 2], "ndcg_cut_10": mean}))
