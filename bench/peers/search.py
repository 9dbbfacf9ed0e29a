"""Seconds of faiss IndexFlatIP. In: {corpus: file of f32, queries: file of f32, dimensions, searches: [[queries, k]],
threads, repetitions}. Out: for each search the seconds, and the first rows of some queries."""
import json, sys, time
import faiss
import numpy as np

job = json.load(sys.stdin)
faiss.omp_set_num_threads(job["threads"])
corpus = np.fromfile(job["corpus"], dtype=np.float32).reshape(-1, job["dimensions"])
queries = np.fromfile(job["queries"], dtype=np.float32).reshape(-1, job["dimensions"])
index = faiss.IndexFlatIP(job["dimensions"])
index.add(corpus)
result = []
for count, depth in job["searches"]:
    block = queries[:count]
    index.search(block, depth)
    seconds = []
    for _ in range(job["repetitions"]):
        started = time.perf_counter()
        scores, rows = index.search(block, depth)
        seconds.append(time.perf_counter() - started)
    result.append({"seconds": sorted(seconds)[len(seconds) // 2], "first": rows[:4, :10].tolist()})
print(json.dumps(result))
