"""Tiny random checkpoints in Hugging Face's layout, and what Transformers, PyTorch and PEFT compute with them.

    python reference/architectures.py

writes src/nn/goldens/<name>/ for llama, llama31, qwen2, qwen3, mistral and bert: config.json, model.safetensors and
expected.json. Two texts are padded on the right; logits (BERT: the last hidden state) are given for the real tokens only.
llama and mistral have a config.json as published before Transformers 5 (rope_theta, torch_dtype), llama31 as Meta
writes it (rope_scaling), the others as Transformers 5 writes it (rope_parameters, dtype).

Losses with gradients, of 32-bit floats:
- llama: `lora.safetensors` (PEFT: q_proj and v_proj, r 4, alpha 8) and `lora-gradients.safetensors`; qwen3: every
  parameter, `gradients.safetensors`. The loss is the mean of -log p over all tokens of both completions.
- bert: every parameter but the pooler's, which has none. InfoNCE: mean-pooled normalised vectors, temperature 0.05, query i
  belongs to passage i, and all other passages are its negatives.

Needs torch, transformers, peft, safetensors; no network.
"""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from golden_file import ROOT, rounded, write_json, write_tensors  # noqa: E402

OUT = ROOT / "src" / "nn" / "goldens"
PEER = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, peft {peft.__version__}"
TEXTS = [[1, 17, 42, 5, 58, 23, 60], [1, 9, 55, 33, 2]]
PROMPTS = [3, 2]  # tokens of each text that are its prompt
QUERIES = [[2, 11, 45, 3], [2, 60, 3]]
PASSAGES = [[2, 12, 44, 51, 9, 3], [2, 61, 27, 3], [2, 50, 3], [2, 11, 61, 40, 3]]
TEMPERATURE = 0.05

SMALL = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
DECODER = SMALL | {"num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2}
WIDER = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 32}
ROTARY = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA31 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA31 |= {"original_max_position_embeddings": 64}

CONFIGS = {
    "llama": transformers.LlamaConfig(
        **DECODER | WIDER, rope_parameters=ROTARY, rms_norm_eps=1e-5, tie_word_embeddings=True
    ),
    "llama31": transformers.LlamaConfig(
        **DECODER, head_dim=8, rope_parameters=LLAMA31 | {"rope_theta": 500.0}, rms_norm_eps=1e-5
    ),
    "qwen2": transformers.Qwen2Config(**DECODER, rope_parameters=ROTARY | {"rope_theta": 1e6}, tie_word_embeddings=True),
    "qwen3": transformers.Qwen3Config(
        **DECODER, head_dim=6, rope_parameters=ROTARY | {"rope_theta": 1e6}, tie_word_embeddings=True
    ),
    "mistral": transformers.MistralConfig(**DECODER, rope_parameters=ROTARY, sliding_window=None),
    "bert": transformers.BertConfig(**SMALL | {"num_attention_heads": 2}, max_position_embeddings=32, pad_token_id=0),
}


def draw_weights(model: torch.nn.Module, seed: int) -> None:
    """Large enough to show an error: matrices and biases with deviation 0.25, norms of 1 +- 0.2."""
    source = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=source)
        is_norm = name.endswith("weight") and "norm" in name.lower()
        weight.data = 1 + 0.2 * noise if is_norm else 0.25 * noise


def older_config(file, name: str) -> None:
    """Rewrites config.json with the keys of published checkpoints of that time."""
    config = json.loads(file.read_text())
    rotary = config.pop("rope_parameters")
    config["rope_theta"] = rotary.pop("rope_theta")
    config["rope_scaling"] = rotary if name == "llama31" else None
    config["torch_dtype"] = config.pop("dtype")
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make_checkpoint(name: str, seed: int):
    """Saves and reloads the model, so the expected values match the files."""
    config, folder = CONFIGS[name], OUT / name
    maker = transformers.AutoModel if name == "bert" else transformers.AutoModelForCausalLM
    model = maker.from_config(config, dtype=torch.float32)
    draw_weights(model, seed)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name in ("llama", "llama31", "mistral"):
        older_config(folder / "config.json", name)
    return maker.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, [batch, sequence]."""
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
    return ids, mask


def completion_log_probabilities(model) -> list[torch.Tensor]:
    ids, mask = padded(TEXTS)
    log_p = model(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
    return [
        torch.stack([log_p[row, at - 1, text[at]] for at in range(prompt, len(text))])
        for row, (text, prompt) in enumerate(zip(TEXTS, PROMPTS))
    ]


def completion_loss(model) -> torch.Tensor:
    return -torch.cat(completion_log_probabilities(model)).mean()


def expected_of_decoder(model) -> dict:
    ids, mask = padded(TEXTS)
    logits = model(input_ids=ids, attention_mask=mask).logits
    return {
        "peer": f"{PEER}, by reference/architectures.py",
        "ids": ids.tolist(),
        "attentionMask": mask.tolist(),
        "promptLengths": PROMPTS,
        "logits": [rounded(row[: len(text)]) for row, text in zip(logits, TEXTS)],
        "completionLogProbabilities": [rounded(row) for row in completion_log_probabilities(model)],
    }


def gradients(model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def lora(model, folder) -> dict:
    torch.manual_seed(5)
    settings = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, settings)
    factors = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
    for name, weight in factors.items():
        weight.data = torch.randn(weight.shape) * (0.3 if "lora_B" in name else 0.2)

    def plain(name: str) -> str:
        return name.removeprefix("base_model.model.").replace(".default", "")

    loss = completion_loss(adapted)
    slopes = gradients(adapted, loss)
    write_tensors(folder / "lora.safetensors", {plain(name): weight for name, weight in factors.items()})
    write_tensors(folder / "lora-gradients.safetensors", {plain(name): slope for name, slope in slopes.items()})
    return {"r": 4, "alpha": 8, "targetModules": ["q_proj", "v_proj"], "loss": rounded(loss)}


def make_decoder(name: str, seed: int) -> None:
    model, folder = make_checkpoint(name, seed), OUT / name
    expected = expected_of_decoder(model)
    if name == "qwen3":
        loss = completion_loss(model)
        expected["full"] = {"loss": rounded(loss)}
        write_tensors(folder / "gradients.safetensors", gradients(model, loss))
    if name == "llama":
        expected["lora"] = lora(model, folder)
    write_json(folder / "expected.json", expected, depth=1)


def pooled(model, texts: list[list[int]]) -> torch.Tensor:
    """Mean over the real tokens, of length 1, [batch, hidden]."""
    ids, mask = padded(texts)
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(mean, dim=-1)


def make_bert(seed: int) -> None:
    model, folder = make_checkpoint("bert", seed), OUT / "bert"
    ids, mask = padded(TEXTS)
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    queries, passages = pooled(model, QUERIES), pooled(model, PASSAGES)
    loss = torch.nn.functional.cross_entropy(queries @ passages.T / TEMPERATURE, torch.arange(len(QUERIES)))
    write_tensors(folder / "gradients.safetensors", gradients(model, loss))
    contrastive = {"queries": QUERIES, "passages": PASSAGES, "temperature": TEMPERATURE, "loss": rounded(loss)}
    contrastive |= {"queryVectors": rounded(queries), "passageVectors": rounded(passages)}
    expected = {
        "peer": f"{PEER}, by reference/architectures.py",
        "ids": ids.tolist(),
        "attentionMask": mask.tolist(),
        "lastHiddenState": [rounded(row[: len(text)]) for row, text in zip(hidden, TEXTS)],
        "contrastive": contrastive,
    }
    write_json(folder / "expected.json", expected, depth=1)


def main() -> None:
    for seed, name in enumerate(["llama", "llama31", "qwen2", "qwen3", "mistral"]):
        make_decoder(name, seed)
    make_bert(seed=7)


main()
