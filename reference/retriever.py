"""Golden runs of contrastive training in PyTorch, and the values of sentence-transformers' losses, on the tiny encoder.

    pip install sentence-transformers==6.2.0 transformers==5.24.0 torch==2.15.0
    python reference/retriever.py

writes src/train/goldens/retriever.json: rows, the losses of 10 steps of AdamW for each way of training, some values of each
weight after them, and what sentence-transformers' losses say of the first batch. What was read in 6.2.0's source:

- MultipleNegativesRankingLoss: cross entropy of scale * similarity over every document of the batch, columns positive, negative 1,
  negative 2 one after the other; equal texts do count as negatives of each other. Its cached form has the same value.
- MarginMSELoss: mean squared difference of the margins (positive less negative) of dot products and labels, over queries and negatives.
- DistillKLDivLoss: KL divergence of softmax(labels / T) and softmax(dot products / T), mean over queries, times T squared.
"""

import os
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import sentence_transformers  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from golden_file import ROOT, rounded, write_json  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer import losses as st  # noqa: E402

BASE = ROOT / "src" / "embed" / "goldens" / "tiny-encoder"
PEER = f"torch {torch.__version__.split('+')[0]}, sentence-transformers {sentence_transformers.__version__}, by reference/retriever.py"
STEPS, BATCH, ALPHA = 10, 4, 0.5
WORDS = "river stone cloud engine paper light garden window music winter salt bridge".split()


def text(seed, length):
    return " ".join(WORDS[(seed * 7 + at * 5 + (seed * at) % 3) % len(WORDS)] for at in range(length))


ROWS = [
    {
        "id": f"q{i}",
        "query": f"query {i} {text(i, 3 + i % 4)}",
        "expansions": [f"first {i} {text(i + 3, 9)}", f"second {i} {text(i + 5, 5 + i)}"],
        "positives": [{"text": f"yes {i} {text(i + 1, 12 - i)}"}],
        "negatives": [{"text": f"no {i} {text(i + 2, 5)}"}, {"text": f"never {i} {text(i + 4, 14)}"}],
        "scores": {"positives": [3 + i / 2], "negatives": [1 - i / 4, 0.5 * i]},
    }
    for i in range(8)
]
RUNS = {
    "infonce, query": {"method": "infonce", "querySide": "query"},
    "infonce, expansion": {"method": "infonce", "querySide": "expansion"},
    "infonce, mean": {"method": "infonce", "querySide": "mean"},
    "infonce, concat, dot": {"method": "infonce", "querySide": "concat", "similarity": "dot", "temperature": 1.0},
    "infonce, Matryoshka": {"method": "infonce", "querySide": "mean", "matryoshka": [8, 32]},
    "margin-mse": {"method": "margin-mse", "querySide": "query"},
    "kl": {"method": "kl", "querySide": "mean"},
    "distil": {"method": "distil", "querySide": "mean"},
}
DEFAULTS = {"similarity": "cosine", "temperature": 0.1, "infonceWeight": 0.1, "teacherTemperature": 2.0, "learningRate": 1e-3}


class Run:
    def __init__(self, settings):
        self.settings = {**DEFAULTS, **settings}
        self.model = SentenceTransformer(str(BASE), device="cpu").eval()
        self.teacher = SentenceTransformer(str(BASE), device="cpu").eval()

    def vectors(self, texts, role, model=None):
        """Pooled, not yet of length 1."""
        model = model or self.model
        features = model.tokenize([(model.prompts.get(role) or "") + one for one in texts])
        return model[1](model[0](dict(features)))["sentence_embedding"]

    def queries(self, rows, size, side=None, model=None):
        side = side or ("query" if self.settings["method"] == "distil" else self.settings["querySide"])
        result = []
        for row in rows:
            one = lambda texts: F.normalize(self.vectors(texts, "query", model)[:, :size], dim=-1)  # noqa: E731
            query, expansions = one([row["query"]])[0], one(row["expansions"]).mean(0)
            if side == "concat":
                result.append(one([" ".join([row["query"], *row["expansions"]])])[0])
            else:
                result.append({"query": query, "expansion": expansions, "mean": (1 - ALPHA) * query + ALPHA * expansions}[side])
        return self.compared(torch.stack(result))

    def compared(self, vectors):
        return F.normalize(vectors, dim=-1) if self.settings["similarity"] == "cosine" else vectors

    def loss(self, rows):
        return sum(self.loss_of_size(rows, size) for size in self.settings.get("matryoshka", [32]))

    def loss_of_size(self, rows, size):
        s = self.settings
        columns = [[r["positives"][0]["text"] for r in rows], *[[r["negatives"][k]["text"] for r in rows] for k in (0, 1)]]
        documents = [self.compared(F.normalize(self.vectors(c, "document")[:, :size], dim=-1)) for c in columns]
        queries = self.queries(rows, size)
        scores = queries @ torch.cat(documents).T
        infonce = F.cross_entropy(scores / s["temperature"], torch.arange(len(rows)))
        if s["method"] == "infonce":
            return infonce
        own = torch.stack([(queries * d).sum(-1) for d in documents], dim=1)  # [rows, 3]
        labels = torch.tensor([[*r["scores"]["positives"], *r["scores"]["negatives"]] for r in rows])
        if s["method"] == "margin-mse":
            mine = F.mse_loss(own[:, :1] - own[:, 1:], labels[:, :1] - labels[:, 1:])
        elif s["method"] == "kl":
            target = F.softmax(labels / s["teacherTemperature"], dim=-1)
            mine = F.kl_div(F.log_softmax(own / s["temperature"], dim=-1), target, reduction="batchmean")
        else:
            with torch.no_grad():
                teacher = self.queries(rows, size, "mean", self.teacher)
            mine = ((queries - teacher) ** 2).sum(-1).mean()
        return mine + s["infonceWeight"] * infonce

    def train(self):
        parameters = dict(self.model[0].auto_model.named_parameters()) if hasattr(self.model[0], "auto_model") else dict(
            self.model[0].model.named_parameters()
        )
        optimizer = torch.optim.AdamW(parameters.values(), lr=self.settings["learningRate"], weight_decay=0.0)
        losses = []
        for step in range(STEPS):
            optimizer.zero_grad()
            start = step * BATCH % len(ROWS)
            loss = self.loss(ROWS[start : start + BATCH])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        samples = {
            name: rounded(value.detach().flatten()[:: max(1, value.numel() // 8)][:8]) for name, value in parameters.items() if "pooler" not in name
        }
        return {"settings": self.settings, "losses": losses, "weights": samples}


def sentence_transformers_values():
    model = SentenceTransformer(str(BASE), device="cpu").eval()
    rows = ROWS[:BATCH]
    prompt = lambda role: model.prompts.get(role) or ""  # noqa: E731
    columns = [
        [prompt("query") + r["query"] for r in rows],
        [prompt("document") + r["positives"][0]["text"] for r in rows],
        *[[prompt("document") + r["negatives"][k]["text"] for r in rows] for k in (0, 1)],
    ]
    features = lambda: [model.tokenize(c) for c in columns]  # noqa: E731
    labels = torch.tensor([[*r["scores"]["positives"], *r["scores"]["negatives"]] for r in rows])
    temperature = 0.5
    values = {
        "MultipleNegativesRankingLoss": st.MultipleNegativesRankingLoss(model, scale=10.0)(features(), None),
        "CachedMultipleNegativesRankingLoss": st.CachedMultipleNegativesRankingLoss(model, scale=10.0, mini_batch_size=3)(features(), None),
        "MarginMSELoss": st.MarginMSELoss(model)(features(), labels[:, :1] - labels[:, 1:]),
        "DistillKLDivLoss": st.DistillKLDivLoss(model, temperature=temperature)(features(), labels) / temperature**2,
    }
    return {name: value.item() for name, value in values.items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    runs = {name: Run(settings).train() for name, settings in RUNS.items()}
    golden = {"peer": PEER, "rows": ROWS, "batch": BATCH, "runs": runs, "sentenceTransformers": sentence_transformers_values()}
    write_json(ROOT / "src" / "train" / "goldens" / "retriever.json", golden)
