"""Golden vectors of text encoders, made by sentence-transformers.

    python reference/encoder_goldens.py tiny FOLDER          makes a tiny random encoder in FOLDER (fixture)
    python reference/encoder_goldens.py goldens MODEL OUT    encodes the golden texts with the encoder in MODEL

OUT.npy holds the vectors // [texts, dimensions], 16-bit floats: every text as a document, and then, if the encoder
has a prompt for queries, every text as a query. encoder-texts.json next to it holds the texts and the origin of the vectors. Needs torch, sentence-transformers and numpy; no network.
"""

import json
import os
import random
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import sentence_transformers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

WORDS = """time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room mother
area money story fact month lot right study book eye job word business issue side kind head house service friend
father power hour game line end member law car city community name president team minute idea body information back
parent face others level office door health person art war history party result change morning reason research girl
guy moment air teacher force education hacksaw photosynthesis quantum enzyme""".split()

PIECES = [
    "", " ", "   ", "\n\t\r\n", ".", "?!", "a", "I", "0", "42", "3.14159", "1,000,000", "-17 °C", "50 %", "$9.99", "A/B",
    "What is a hacksaw?", "what is a hacksaw", "WHAT IS A HACKSAW?", "  leading and trailing blanks  ",
    "two  blanks\tand\ttabs\nand\nlines", "non\u00a0breaking\u2009blanks\u3000here", "zero\u200bwidth\ufeffmarks",
    "soft\u00adhyphen", "control\u0007characters\u0000here", "😀", "😀😀😀 👍🏽", "👩‍👩‍👧‍👦 family", "🇩🇪 🇫🇷 flags", "I ❤️ search",
    "日本語の文章です。", "中文句子，包含标点。", "한국어 문장입니다.", "mixed 日本語 and English", "東京 2020", "ﾊﾝｶｸ", "ＦＵＬＬｗｉｄｔｈ",
    "Привет, мир", "Γειά σου Κόσμε", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Xin chào thế giới",
    "café naïve résumé", "cafe\u0301 nai\u0308ve", "Ångström Øresund Łódź", "straße STRASSE", "İstanbul ılık", "ﬁne ﬂow ½ ² ™",
    "def f(x):\n    return x ** 2", "SELECT * FROM t WHERE a >= 1;", "<div class=\"x\">&amp;</div>", "{\"a\": [1, 2, null]}",
    "https://example.org/a?b=c&d=e#f", "user@example.org", "C:\\Users\\x\\file.txt", "x = y != z && !w || v",
    "∑ x² ≤ ∫ f(t) dt", "E = mc²", "H₂O + CO₂ → C₆H₁₂O₆", "α-helix β-sheet", "[CLS] [SEP] [PAD] [MASK] [UNK]", "[MASK]",
    "##ing ##ed", "don't can't I'm", "‘curly’ “quotes” — dash – en…", "state-of-the-art", "a_b_c", "---", "***", "###",
    "a" * 99, "a" * 101, "b" * 1000, "1" * 300, "😀" * 300, "字" * 700, "x " * 600, "\u0301" * 20, "a\u0301\u0302\u0303" * 10,
    "Antidisestablishmentarianism floccinaucinihilipilification", "pneumonoultramicroscopicsilicovolcanoconiosis",
    "The quick brown fox jumps over the lazy dog.", "the the the the", "not relevant", "relevant", "No. No! No?",
]


def golden_texts() -> list[str]:
    """200 texts: the pieces above, then sentences from one word to beyond BERT's maximum length."""
    draw = random.Random(20250217)
    texts = list(PIECES)
    lengths = [1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200, 256, 300, 520, 700, 1500]
    while len(texts) < 200:
        words = draw.choices(WORDS, k=lengths[len(texts) % len(lengths)])
        texts.append(" ".join(words).capitalize() + ".")
    return texts


def make_goldens(model_folder: str, out: str) -> None:
    model = sentence_transformers.SentenceTransformer(model_folder, device="cpu")
    texts = golden_texts()
    with torch.no_grad():
        documents = model.encode_document(texts, batch_size=16)
        parts = [documents]
        if model.prompts.get("query"):
            parts.append(model.encode_query(texts, batch_size=16))
    np.save(f"{out}.npy", np.concatenate(parts).astype(np.float16))
    versions = {
        "sentence-transformers": sentence_transformers.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    content = {"madeBy": versions, "texts": texts}
    write_json(Path(out).parent / "encoder-texts.json", content)


def make_tiny(folder: str) -> None:
    """A random BERT with bge's settings: 2 layers of 32, first token, normalised, a prompt for queries."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()] + list("日本語中文éßаб")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [w for w in dict.fromkeys(WORDS)] + ["the", "what", "is", "a"]
    vocabulary = list(dict.fromkeys(special + letters + ["##" + one for one in letters] + pieces))
    (target / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=128, initializer_range=0.4,
    )
    network = transformers.BertModel(config, add_pooling_layer=False)
    with torch.no_grad():  # biases and norms start at 0 and 1, where a mistake would not show
        for name, tensor in network.named_parameters():
            if tensor.dim() == 1:
                tensor.add_(torch.randn_like(tensor) * 0.2)
    network.save_pretrained(target)
    tokenizer = transformers.BertTokenizerFast(str(target / "vocab.txt"), do_lower_case=True, model_max_length=128)
    tokenizer.save_pretrained(target)
    write_json(target / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ])
    (target / "1_Pooling").mkdir(exist_ok=True)
    write_json(target / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
    })
    write_json(target / "sentence_bert_config.json", {"max_seq_length": 96, "do_lower_case": False})
    write_json(target / "config_sentence_transformers.json", {
        "prompts": {"query": "what is the ", "document": ""}, "default_prompt_name": None, "similarity_fn_name": "cosine",
    })


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["tiny"] and len(sys.argv) == 3:
        make_tiny(sys.argv[2])
    elif sys.argv[1:2] == ["goldens"] and len(sys.argv) == 4:
        make_goldens(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)
