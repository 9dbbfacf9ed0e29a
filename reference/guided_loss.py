"""Values of sentence-transformers' GISTEmbedLoss on the tiny encoder, guided by the same encoder with mean pooling.

    pip install sentence-transformers==6.2.0 transformers==5.24.0 torch==2.15.0
    python reference/guided_loss.py

writes src/train/goldens/guided.json. The loss compares queries with documents alone (contrast_anchors and contrast_positives are off), as
ours does; there is one negative per row. Its cached form has the same values.
"""

import json
import shutil
import tempfile
from pathlib import Path

import sentence_transformers
from golden_file import ROOT, write_json
from retriever import BASE, BATCH, ROWS
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses as st

MARGINS = {
    "no margin": {"margin_strategy": "absolute", "margin": 0.0},
    "absolute": {"margin_strategy": "absolute", "margin": 0.05},
    "relative": {"margin_strategy": "relative", "margin": 0.1},
}


def guide(folder):
    """The tiny encoder with mean pooling."""
    path = Path(folder) / "guide"
    shutil.copytree(BASE, path)
    config = path / "1_Pooling" / "config.json"
    settings = json.loads(config.read_text())
    pooling = {key: key == "pooling_mode_mean_tokens" for key in settings if key.startswith("pooling_mode_")}
    config.write_text(json.dumps({**settings, **pooling}))
    return SentenceTransformer(str(path), device="cpu").eval()


def values(folder):
    model = SentenceTransformer(str(BASE), device="cpu").eval()
    rows = ROWS[:BATCH]
    prompt = lambda role: model.prompts.get(role) or ""  # noqa: E731
    columns = [
        [prompt("query") + row["query"] for row in rows],
        [prompt("document") + row["positives"][0]["text"] for row in rows],
        [prompt("document") + row["negatives"][0]["text"] for row in rows],
    ]
    teacher = guide(folder)
    options = {"temperature": 0.1, "contrast_anchors": False, "contrast_positives": False}
    result = {}
    for name, margin in MARGINS.items():
        features = [model.tokenize(column) for column in columns]
        plain = st.GISTEmbedLoss(model, teacher, **options, **margin)(features, None).item()
        features = [model.tokenize(column) for column in columns]
        cached = st.CachedGISTEmbedLoss(model, teacher, mini_batch_size=2, **options, **margin)(features, None).item()
        result[name] = {"GISTEmbedLoss": plain, "CachedGISTEmbedLoss": cached}
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        peer = f"sentence-transformers {sentence_transformers.__version__}, by reference/guided_loss.py"
        write_json(ROOT / "src" / "train" / "goldens" / "guided.json", {"peer": peer, "values": values(folder)}, 2)
