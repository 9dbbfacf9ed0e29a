"""Versions of the peers, by package."""
import json
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ["sentence-transformers", "torch", "transformers", "peft", "trl", "faiss-cpu", "bm25s", "numba", "pytrec_eval-terrier", "llama_cpp_python"]
found = {}
for name in PACKAGES:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
