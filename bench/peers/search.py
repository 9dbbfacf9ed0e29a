"""Seconds of faiss IndexFlatIP for a batch. In: {corpus: file of f32, queries: file of f32, dimensions, depths, threads, repetitions}."""
import json, sys, time
import faiss
import numpy as np

job = json.load(sys.stdin)
faiss.omp_set_num_threads(job["threads"])
corpus = np.fromfile(job["corpus"], dtype=np.float32).reshape(-1, job["dimensions"])
queries = np.fromfile(job["queries"], dtype=np.float32).reshape(-1, job["dimensions"])
index = faiss.IndexFlatIP(job["dimensions"])
index.add(corpus)
result = {}
for depth in job["depths"]:
    index.search(queries, depth)
    seconds = []
    for _ in range(job["repetitions"]):
        started = time.perf_counter()
        scores, rows = index.search(queries, depth)
        seconds.append(time.perf_counter() - started)
    result[str(depth)] = {"seconds": sorted(seconds)[len(seconds) // 2], "first": rows[:4, :10].tolist()}
print(json.dumps(result))
