"""Contrastive training of sentence-transformers on the CPU, in 32-bit floats, with all weights and AdamW: MultipleNegativesRankingLoss,
or its cached form if `miniBatch` is not 0. No dropout, as on our side; each step
trains on all rows.
In: the RetrieverJob of bench/sections/retriever-child.ts. Out: its RetrieverFigures."""
import json, os, resource, sys, time

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import CachedMultipleNegativesRankingLoss, MultipleNegativesRankingLoss

job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])
model = SentenceTransformer(job["folder"], device="cpu")
model.eval()
scale = {"scale": 1 / 0.02}
if job["miniBatch"]:
    loss = CachedMultipleNegativesRankingLoss(model, mini_batch_size=job["miniBatch"], **scale)
else:
    loss = MultipleNegativesRankingLoss(model, **scale)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0)


def step():
    features = [model.tokenize(job[side]) for side in ("queries", "documents")]
    value = loss(features, None)
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return value.item()


losses, times = [], []
for _ in range(job["steps"]):
    losses.append(step())
    times.append((time.perf_counter(), time.process_time()))
counted = len(times) - 1
wall, cpu = ((times[-1][at] - times[0][at]) / counted for at in (0, 1))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"step": wall, "cpu": cpu, "peak": peak, "losses": losses}), flush=True)
os._exit(0)
