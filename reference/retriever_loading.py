"""Vectors of trained folders by sentence-transformers and Transformers: that what `train retriever` writes loads elsewhere.

    pip install sentence-transformers==6.2.0 transformers==5.24.0 torch==2.15.0
    npm run build && python reference/retriever_loading.py

trains the tiny encoder in every way with the built program, loads each folder as a user of these libraries does, and writes
src/train/goldens/retriever-loading.json: the command's options, and the vectors of a query and a document. Transformers' AutoModel must give
the document's vector, too, after mean or CLS pooling by hand (the script stops if it does not).
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import sentence_transformers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from golden_file import ROOT, rounded, write_json  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402

BASE = ROOT / "src" / "embed" / "goldens" / "tiny-encoder"
ROWS = json.loads((ROOT / "src" / "train" / "goldens" / "retriever.json").read_text())["rows"]
PEER = f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}, by reference/retriever_loading.py"
QUERY, DOCUMENT = "stone bridge in winter", "a river of paper and light"
SHARED = ["--batch-size", "4", "--max-steps", "3", "--learning-rate", "0.01", "--warmup-steps", "0", "--threads", "1"]
CASES = {
    "whole encoder": [],
    "LoRA": ["--lora-r", "2"],
    "query side alone (Router)": ["--train", "query"],
    "query side alone by LoRA (Router)": ["--train", "query", "--lora-r", "2", "--method", "distil"],
    "projection (Router)": ["--train", "projection"],
    "ridge (Router)": ["--method", "ridge", "--ridge", "0.1"],
}


def train(folder, words):
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    command = ["node", str(ROOT / "dist" / "cli" / "main.js"), "train", "retriever", "--data", str(data)]
    subprocess.run([*command, "--encoder", str(BASE), "--out", str(folder / "out"), *SHARED, *words], check=True)
    return folder / "out"


def by_transformers(out, model):
    """The folder's own files are those of the documents' encoder."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    encoder = transformers.AutoModel.from_pretrained(out).eval()
    features = tokenizer([(model.prompts.get("document") or "") + DOCUMENT], return_tensors="pt")
    with torch.no_grad():
        return normalize(encoder(**features).last_hidden_state[:, 0], dim=-1)[0]


def vectors(out):
    model = SentenceTransformer(str(out), device="cpu").eval()
    found = {
        "query": torch.from_numpy(model.encode_query([QUERY])[0]),
        "document": torch.from_numpy(model.encode_document([DOCUMENT])[0]),
    }
    difference = (by_transformers(out, model) - found["document"]).abs().max().item()
    assert difference < 1e-6, f"Transformers differs by {difference}"
    return {role: rounded(vector) for role, vector in found.items()}


if __name__ == "__main__":
    cases = {}
    for name, words in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            cases[name] = {"options": words, **vectors(train(Path(folder), words))}
    texts = {"query": QUERY, "document": DOCUMENT}
    write_json(ROOT / "src" / "train" / "goldens" / "retriever-loading.json", {"peer": PEER, "texts": texts, "shared": SHARED, "cases": cases})
