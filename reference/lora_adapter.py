"""LoRA adapters in GGUF, and the log-probabilities that llama-cpp-python computes with them.

Writes into src/generate/goldens:

- tiny-llama.gguf, a model of random 32-bit floats with two layers of width 32, and tiny-lora.gguf for it. Everything is exact
  but the cache of 16-bit floats, so that numbers can be compared closely.
- lora-smollm2.gguf for SmolLM2-135M-Instruct: rank 2, q and v of two layers. Its 4-bit weights make llama.cpp round
  activations to 8 bits; another rounding anywhere (a cache of 32 bits, another batch) then moves log-probabilities by 0.1 to
  0.5, within llama-cpp-python as well. B of q is drawn in the order of GGUF, as a converter would have left it.
- lora.json: log-probabilities of the token after a prompt, without the adapter and with it at several scales.

    python reference/lora_adapter.py SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import sys
from pathlib import Path

import gguf
import numpy
from llama_cpp import Llama

OUT = Path(__file__).parent.parent / "src" / "generate" / "goldens"
RANK, ALPHA, SCALES = 2, 4.0, (0.0, 0.5, 1.0)
PROMPT = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nPlease write a passage to answer the question.\nQuestion: What is a lagoon?\nPassage:<|im_end|>\n"
    "<|im_start|>assistant\n"
)

# Of the tiny model: hidden size, feed-forward size, layers, heads, heads of keys and values.
WIDTH, INNER, LAYERS, HEADS, KEY_HEADS = 32, 64, 2, 2, 1
KEYS = WIDTH // HEADS * KEY_HEADS


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(file: Path, pairs: dict[str, tuple[int, int]], kind: type, spread: tuple[float, float]) -> None:
    """`pairs` holds the [out, in] of each weight, `spread` the standard deviations of A and B."""
    random = numpy.random.default_rng(20)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for name, (rows, columns) in pairs.items():
        writer.add_tensor(f"{name}.lora_a", random.normal(0, spread[0], (RANK, columns)).astype(kind))
        writer.add_tensor(f"{name}.lora_b", random.normal(0, spread[1], (rows, RANK)).astype(kind))
    finish(writer)


def byte_letters() -> list[str]:
    """GPT-2's letter for each byte: itself if printable, otherwise one from 256 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def write_tiny_model(file: Path) -> None:
    random = numpy.random.default_rng(19)
    tokens = [*byte_letters(), "ab", "<|end|>"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(257)
    writer.add_bos_token_id(257)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")

    def weight(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", random.normal(0, 1.5 / shape[-1] ** 0.5, shape).astype(numpy.float32))

    weight("token_embd", len(tokens), WIDTH)
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", random.uniform(0.5, 1.5, WIDTH).astype(numpy.float32))
        weight(f"blk.{layer}.attn_q", WIDTH, WIDTH)
        weight(f"blk.{layer}.attn_k", KEYS, WIDTH)
        weight(f"blk.{layer}.attn_v", KEYS, WIDTH)
        weight(f"blk.{layer}.attn_output", WIDTH, WIDTH)
        weight(f"blk.{layer}.ffn_gate", INNER, WIDTH)
        weight(f"blk.{layer}.ffn_up", INNER, WIDTH)
        weight(f"blk.{layer}.ffn_down", WIDTH, INNER)
    writer.add_tensor("output_norm.weight", numpy.ones(WIDTH, numpy.float32))
    finish(writer)


def log_probabilities(model: Path, prompt: str, adapter: Path, scale: float | None) -> numpy.ndarray:
    """Log-probabilities of the token after the prompt, over the complete vocabulary."""
    settings = {} if scale is None else {"lora_path": str(adapter), "lora_scale": scale}
    llm = Llama(str(model), n_ctx=256, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False, **settings)
    tokens = llm.tokenize(prompt.encode(), add_bos=False, special=True)
    llm.eval(tokens)
    logits = llm.scores[len(tokens) - 1].astype(numpy.float64)
    return logits - logits.max() - numpy.log(numpy.exp(logits - logits.max()).sum())


def golden(model: Path, prompt: str, adapter: Path) -> dict:
    plain = log_probabilities(model, prompt, adapter, None)
    adapted = {scale: log_probabilities(model, prompt, adapter, scale) for scale in SCALES}
    # The most likely tokens without the adapter and with it.
    tokens = sorted({int(t) for row in (plain, adapted[1.0]) for t in numpy.argsort(-row)[:12]})
    pick = lambda row: [round(float(row[t]), 5) for t in tokens]  # noqa: E731
    print(adapter.name, [float(numpy.abs(row - plain)[tokens].mean()) for row in adapted.values()])
    rows = [{"scale": scale, "logProbabilities": pick(row)} for scale, row in adapted.items()]
    return {"prompt": prompt, "vocabularySize": len(plain), "tokens": tokens, "plain": pick(plain), "adapted": rows}


def main() -> None:
    tiny, tiny_adapter, smollm2_adapter = (OUT / f"{n}.gguf" for n in ("tiny-llama", "tiny-lora", "lora-smollm2"))
    write_tiny_model(tiny)
    every = {f"blk.{layer}.{name}.weight": shape for layer in range(LAYERS) for name, shape in {
        "attn_q": (WIDTH, WIDTH), "attn_k": (KEYS, WIDTH), "attn_v": (KEYS, WIDTH), "ffn_down": (WIDTH, INNER),
    }.items()}
    write_adapter(tiny_adapter, every, numpy.float32, (0.2, 0.2))
    some = {f"blk.{layer}.{name}.weight": (rows, 576) for layer in (3, 20) for name, rows in (("attn_q", 576), ("attn_v", 192))}
    write_adapter(smollm2_adapter, some, numpy.float16, (0.08, 0.25))
    goldens = {
        "tiny": golden(tiny, "what is a lagoon? ", tiny_adapter),
        "smollm2": golden(Path(sys.argv[1]), PROMPT, smollm2_adapter),
    }
    text = json.dumps(goldens, indent=1)
    (OUT / "lora.json").write_text(text + "\n")


main()
