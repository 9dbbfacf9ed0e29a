"""Seconds of bm25s to index and to search, tokenisation included; the faster of its back ends and thread counts each.
In: {corpus: file of texts as JSON lines, searches: [{queries: [text], k}], threads, repetitions}.
Out: {index: seconds, searches: [{seconds, first: row of each query's best document}]}."""
import json, sys, time
import bm25s
import Stemmer

job = json.load(sys.stdin)
texts = [json.loads(line) for line in open(job["corpus"], encoding="utf8")]
stemmer = Stemmer.Stemmer("porter")
try:
    import numba

    numba.set_num_threads(job["threads"])
    BACKENDS = ["numpy", "numba"]
except ImportError:
    BACKENDS = ["numpy"]


def tokenize(batch):
    return bm25s.tokenize(batch, stopwords="en", stemmer=stemmer, show_progress=False)


def build(backend):
    index = bm25s.BM25(method="lucene", k1=0.9, b=0.4, backend=backend)
    index.index(tokenize(texts), show_progress=False)
    return index


def timed(work):
    work()
    seconds = []
    for _ in range(job["repetitions"]):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[len(seconds) // 2]


def search(index, task, threads):
    k = min(task["k"], len(texts))
    return index.retrieve(tokenize(task["queries"]), k=k, n_threads=threads, show_progress=False).documents


indexes = [build(backend) for backend in BACKENDS]
searches = []
for task in job["searches"]:
    ways = [(index, threads) for index in indexes for threads in {1, job["threads"]}]
    seconds = [timed(lambda: search(index, task, threads)) for index, threads in ways]
    first = search(indexes[0], task, 1)[:, 0].tolist()
    searches.append({"seconds": min(seconds), "first": first})
print(json.dumps({"index": min(timed(lambda: build(backend)) for backend in BACKENDS), "searches": searches}))
