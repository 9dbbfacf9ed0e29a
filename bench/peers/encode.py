"""Texts per second of sentence-transformers, the better of several batch sizes.
In: {model, sets: {name: [text]}, threads, batches, repetitions}. Out: {name: {rate, first: vectors of some texts}}."""
import json, sys, time
import torch
from sentence_transformers import SentenceTransformer

job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])
model = SentenceTransformer(job["model"], device="cpu")
result = {}
for name, texts in job["sets"].items():
    best = None
    for batch in job["batches"]:
        model.encode(texts[:64], batch_size=batch)
        seconds = []
        for _ in range(job["repetitions"]):
            started = time.perf_counter()
            vectors = model.encode(texts, batch_size=batch, show_progress_bar=False)
            seconds.append(time.perf_counter() - started)
        median = sorted(seconds)[len(seconds) // 2]
        best = median if best is None else min(best, median)
    result[name] = {"rate": len(texts) / best, "first": vectors[:16].tolist()}
print(json.dumps(result))
