"""Seconds of bm25s to index and to search. In: {corpus: file of texts as JSON lines, queries: [text], depth, threads, repetitions}."""
import json, sys, time
import bm25s
import Stemmer

job = json.load(sys.stdin)
texts = [json.loads(line) for line in open(job["corpus"], encoding="utf8")]
stemmer = Stemmer.Stemmer("porter")


def build():
    index = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    return index


def timed(work):
    work()
    seconds = []
    for _ in range(job["repetitions"]):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[len(seconds) // 2]


index = build()


def search(threads):
    tokens = bm25s.tokenize(job["queries"], stopwords="en", stemmer=stemmer, show_progress=False)
    index.retrieve(tokens, k=job["depth"], n_threads=threads, show_progress=False)


print(json.dumps({"index": timed(build), "search": min(timed(lambda: search(1)), timed(lambda: search(job["threads"])))}))
