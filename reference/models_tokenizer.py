"""Golden token ids, made by Transformers' BERT tokenizer.

Usage: python reference/models_tokenizer.py MINILM_FOLDER OUTPUT_FOLDER
Needs transformers. Writes tokenizer-small.json (a small vocabulary, held in the file) and tokenizer-minilm.json (ids of the
vocabulary of all-MiniLM-L6-v2), which are committed under src/models/goldens/.
"""

import json
import os
import random
import sys
import tempfile

from transformers import AutoTokenizer

TEXTS = [
    "", " ", "a", "Hello, World!", "What is a hacksaw?", "the quick brown fox jumps over the lazy dog",
    "  blanks   around\tand\nbetween \r\n", "naïve café résumé Ångström Straße", "cafe\u0301 de\u0301compose\u0301",
    "İstanbul ıI ŞŞ", "ΑΒΓ αβγ ς Σ", "Привет, мир", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "你好,世界", "日本語のテキスト", "한국어 텍스트", "漢字kanji漢字", "㐀㐁𠀀𠀁", "🙂", "👨‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "a🙂b", "❤️ ♥",
    "x\u0000y", "\u0000", "\u0007bell\u001b[31m", "soft\u00adhyphen", "zero\u200bwidth\u200djoiner", "\ufeffbom", "\ufffd",
    "no\u00a0break\u2003space\u3000wide", "line\u2028separator", "[CLS] [SEP] [MASK] [PAD] [UNK]", "[cls] text [SEP]text",
    "$100.50 + 20% = €120.60", "e-mail: a.b@c.de, http://x.y/z?q=1&r=2#s", "C++ && C# || F#", "don't can't won't it's",
    "1234567890 3.14159 1e-10 0x1F", "²³¹ ½ ⅓ Ⅷ ①", "ﬁ ﬂ ﬀ", "ABCabc", "İ", "ß", "ẞ", "\u0130\u0307", "…—–“”‘’«»",
    "()[]{}<>|\\/`~^_", "a" * 99, "a" * 100, "a" * 101, "a" * 5000, "supercalifragilisticexpialidocious", "Pneumonoultramicroscopicsilicovolcanoconiosis",
    "photosynthesis converts carbon dioxide into oxygen", "word " * 300, "。" * 20, "a,b;c:d!e?f", "'quoted' \"text\"",
    "\u0041\u030a", "q\u0307\u0323", "ệ", "đ", "Łódź", "Æsir œuvre", "Þór", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𝟙𝟚𝟛", "\U0001f9d1\u200d\U0001f4bb",
    "\u202eright-to-left\u202c", "tab\tseparated\tvalues", "\x7f\x80\x9f", "mixed 中文 and English 和 emoji 😀!", "\ue000 private",
]
PIECES = list("abcdefghij ABC éüñ ,.!?-'  12 ") + ["ing", "the ", "你", "🙂", "\u0301", "\u0000", "\u200b", "ß", " \n", "[SEP]", "ß"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY += sorted(set("abcdefghijklmnopqrstuvwxyz0123456789,.!?-'#$%&()[]/:你好世界ßéABC"))
VOCABULARY += ["##" + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789é"]
VOCABULARY += ["the", "hello", "world", "##ing", "##ed", "what", "is", "quick", "brown", "The", "Hello", "hack", "##saw"]


def texts():
    shuffled = random.Random(5)
    return TEXTS + ["".join(shuffled.choices(PIECES, k=shuffled.randrange(1, 60))) for _ in range(30)]


def ids(tokenizer, limit):
    return [tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts()]


def small(settings):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(VOCABULARY) + "\n")
        config = {"tokenizer_class": "BertTokenizer", "model_max_length": 512, **settings}
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
            json.dump(config, file)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return {"config": config, "ids": {limit: ids(tokenizer, limit) for limit in (512, 8)}}


def write(folder, name, document):
    with open(os.path.join(folder, name), "w") as file:
        json.dump(document, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def main(model, folder):
    cases = [
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": True, "tokenize_chinese_chars": False},
    ]
    document = {"vocabulary": VOCABULARY, "texts": texts(), "cases": [small(case) for case in cases]}
    write(folder, "tokenizer-small.json", document)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.backend_tokenizer.no_padding()
    write(folder, "tokenizer-minilm.json", {"texts": texts(), "ids": {limit: ids(tokenizer, limit) for limit in (512, 16)}})


main(sys.argv[1], sys.argv[2])
