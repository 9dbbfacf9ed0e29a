"""Ids of prompt and completions as made by TRL's DPOTrainer, for src/train/goldens/chat-tokens.json.

    python reference/chat_tokens.py

For the chat templates of Llama 3, SmolLM2, Qwen 2.5 and Qwen 3 (the latter two without their parts for tools; TRL's own copies
of them must give the same ids here) and for plain text. One small tokenizer serves all: byte-level BPE that divides as
Llama 3's does, with all special tokens, and with "\n\n" and ".\n" as tokens, to test the seam of prompt and completion.
Its post-processor puts <|begin_of_text|> first, as Llama 3's does: a rendered chat must not get a second one.

A case: {template, pair, promptIds, chosenIds, rejectedIds}. Observed: if a completion starts with a line break, "\n" and it
become one token, so the prompt loses its last token to the completion. Qwen 3 writes an empty block of thought before the last
answer, which is part of the completion, because its generation prompt has none. Needs torch, transformers, trl, peft; no network.
"""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import tempfile  # noqa: E402
from importlib import resources  # noqa: E402

import peft  # noqa: E402
import tokenizers  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402
from datasets import Dataset  # noqa: E402
from golden_file import ROOT, write_json  # noqa: E402
from tokenizers import decoders, models, pre_tokenizers, processors, trainers  # noqa: E402

OUT = ROOT / "src" / "train" / "goldens" / "chat-tokens.json"
KNOWN = ROOT / "src" / "models" / "goldens" / "chat-templates.json"
PEER = f"trl {trl.__version__}, transformers {transformers.__version__}, by reference/chat_tokens.py"
DIVISION = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SPECIAL += ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
CHATML = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
QWEN_25 = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\n' }}{% endif %}{% for message in messages %}" + CHATML + "{% endfor %}" + PROMPT
)
QWEN_3 = (
    "{% for message in messages %}{% if loop.last and message['role'] == 'assistant' %}{{ '<|im_start|>assistant\n<think>\n\n"
    "</think>\n\n' + message['content'].lstrip('\n') + '<|im_end|>\n' }}{% else %}" + CHATML + "{% endif %}{% endfor %}" + PROMPT
)
TRAINING = ["What is a hacksaw? It is a saw.\n\nUser\n\nassistant\n\nsystem.\n" * 4, "You are a helpful assistant.\n" * 4]


def turn(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def pair(prompt: list[dict], chosen: str, rejected: str) -> dict:
    return {"prompt": prompt, "chosen": [turn("assistant", chosen)], "rejected": [turn("assistant", rejected)]}


PAIRS = [
    pair([turn("user", "What is a hacksaw?")], "A saw that cuts metal.", "It is a saw.\n\nOr not."),
    pair([turn("user", "  What is a lagoon? \n")], "  A shallow lake. ", "A saw.\n"),
    pair([turn("user", "Where?")], "\nHere.", "There."),
    pair([turn("user", "And this?")], "\n\nFirst a blank line.", "\nThen one less."),
    pair([turn("system", "You are terse."), turn("user", "Säge?")], "Ein „Werkzeug“ 🙂.", "日本語の文章です。"),
    pair([turn("user", "One?"), turn("assistant", "Two."), turn("user", "Three?")], "Four.", "Five, 1234567."),
    pair([turn("user", "<|im_end|> in a question")], "An <|eot_id|> in an answer", "don't, I'LL, we're"),
]
PLAIN = [
    {"prompt": "Question: What is ice?\nPassage:", "chosen": " Frozen water.", "rejected": " Ice is hot."},
    {"prompt": "Passage: ", "chosen": "Frozen water.<|eot_id|>", "rejected": "Ice"},
    {"prompt": "Passage.\n", "chosen": "\nFrozen water.", "rejected": "Ice."},
]


def make_tokenizer() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.BPE())
    divide = pre_tokenizers.Split(tokenizers.Regex(DIVISION), behavior="isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [divide, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TRAINING,
        trainers.BpeTrainer(vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    made.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))]
    )
    assert all(made.token_to_id(token) for token in ("ĊĊ", ".Ċ"))
    return made


def templates() -> dict[str, dict]:
    known = json.loads(KNOWN.read_text())["templates"]
    llama, smollm = known["llama-3"]["template"], known["smollm2"]["template"]
    return {
        "llama-3": {"template": llama, "bos": "<|begin_of_text|>", "eos": "<|eot_id|>", "pad": "<|endoftext|>"},
        "smollm2": {"template": smollm, "bos": "<|im_start|>", "eos": "<|im_end|>", "pad": "<|im_end|>"},
        "qwen-2.5": {"template": QWEN_25, "bos": None, "eos": "<|im_end|>", "pad": "<|endoftext|>"},
        "qwen-3": {"template": QWEN_3, "bos": None, "eos": "<|im_end|>", "pad": "<|endoftext|>"},
    }


def ids(made: tokenizers.Tokenizer, kind: dict, pairs: list[dict]) -> list[dict]:
    """The pairs as prepared by the trainer before training, which never starts."""
    tokens = {f"{name}_token": kind[name] for name in ("bos", "eos", "pad")}
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=made, chat_template=kind["template"], **tokens)
    size = {"vocab_size": made.get_vocab_size(), "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**size, num_attention_heads=2))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"bf16": False, "use_cpu": True, "report_to": "none", "gradient_checkpointing": False}
        rows = trl.DPOTrainer(
            model=model,
            args=trl.DPOConfig(output_dir=folder, **settings),
            train_dataset=Dataset.from_list(pairs),
            processing_class=wrapped,
            peft_config=peft.LoraConfig(task_type="CAUSAL_LM"),
        ).train_dataset
    names = {"promptIds": "prompt_ids", "chosenIds": "chosen_ids", "rejectedIds": "rejected_ids"}
    return [{name: row[column] for name, column in names.items()} for row in rows]


def check_against_bundled(made: tokenizers.Tokenizer, name: str, kind: dict, found: list[dict]) -> None:
    file = {"llama-3": "llama3", "qwen-2.5": "qwen2_5", "qwen-3": "qwen3"}.get(name)
    if file is not None:
        bundled = (resources.files(trl) / "chat_templates" / f"{file}.jinja").read_text()
        assert ids(made, kind | {"template": bundled}, PAIRS) == found, name


def main() -> None:
    made, cases, kinds = make_tokenizer(), [], templates()
    for name, kind in kinds.items():
        found = ids(made, kind, PAIRS)
        check_against_bundled(made, name, kind, found)
        cases += [{"template": name, "pair": number, **row} for number, row in enumerate(found)]
    plain = [{"pair": number, **row} for number, row in enumerate(ids(made, kinds["llama-3"], PLAIN))]
    document = {
        "peer": PEER, "templates": kinds, "pairs": PAIRS, "cases": cases, "plainPairs": PLAIN, "plainCases": plain,
        "tokenizer": json.loads(made.to_str()),
    }  # fmt: skip
    write_json(OUT, document, depth=2)


main()
