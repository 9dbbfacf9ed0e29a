"""A tokenizer of 96 tokens with a chat template, for the tiny llama of reference/architectures.py.

    python reference/tiny_tokenizer.py

writes tokenizer.json and tokenizer_config.json into src/nn/goldens/llama: byte-level BPE over lower-cased printable ASCII (any
other byte is dropped), trained on the texts below, with ChatML's turns. Needs tokenizers, transformers; no network.
"""

import os
import string

os.environ["HF_HUB_OFFLINE"] = "1"

from golden_file import ROOT  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

FOLDER = ROOT / "src" / "nn" / "goldens" / "llama"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXTS = [
    "user\n", "assistant\n", "system\n", "what is a lagoon?", "a lagoon is a shallow body of water.",
    "the water of the sea is in the lagoon.", "a hacksaw is a saw that cuts metal.", "what is the user of a saw?",
]  # fmt: skip


def main() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = set(string.printable[:95].lower()) - {" "} | {"Ġ", "Ċ"}
    trainer = trainers.BpeTrainer(
        vocab_size=96, special_tokens=SPECIAL, initial_alphabet=sorted(letters), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    assert tokenizer.get_vocab_size() == 96
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
        model_max_length=128,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(FOLDER, save_jinja_files=False)


main()
