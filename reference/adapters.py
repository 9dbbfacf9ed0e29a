"""LoRA adapters as written by PEFT, on the tiny llama of reference/architectures.py, and the logits they give.

    python reference/adapters.py

writes src/models/goldens/adapters/<name>/ with adapter_config.json, adapter_model.safetensors and expected.json:

- plain: r 4, alpha 8, on q_proj and v_proj;
- rslora: rank-stabilised (scale alpha / sqrt(r)), r 2, on all seven projections;
- patterns: r 2, alpha 4, with another rank for the first layer's q_proj and another alpha for every down_proj.

`logits` hold those of the adapted model for each token, `mergedLogits` those after merge_and_unload, `mergedWeights` the
sum and the sum of squares of each merged matrix. PEFT starts B at zero; here all factors are drawn. Needs torch, transformers, peft; no network.
"""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from golden_file import ROOT, rounded, write_json  # noqa: E402

OUT = ROOT / "src" / "models" / "goldens" / "adapters"
BASE = ROOT / "src" / "nn" / "goldens" / "llama"
PEER = f"peft {peft.__version__}, transformers {transformers.__version__}, by reference/adapters.py"
IDS = [1, 17, 42, 5, 88, 23, 64]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]},
    "rslora": {"r": 2, "lora_alpha": 4, "target_modules": ALL, "use_rslora": True},
    "patterns": {
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"layers.0.self_attn.q_proj": 3},
        "alpha_pattern": {"down_proj": 6},
    },
}


def logits(model) -> list:
    with torch.no_grad():
        return rounded(model(input_ids=torch.tensor([IDS])).logits[0])


def sums(weight: torch.Tensor) -> list:
    values = weight.detach().double()
    return rounded([values.sum().item(), values.square().sum().item()])


def make_adapter(name: str, settings: dict, seed: int) -> None:
    folder = OUT / name
    base = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager")
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    source = torch.Generator().manual_seed(seed)
    for parameter in (parameter for _, parameter in model.named_parameters() if parameter.requires_grad):
        parameter.data = torch.randn(parameter.shape, generator=source) * 0.25
    # PEFT would record a folder of this machine.
    model.peft_config["default"].base_model_name_or_path = "tiny-llama"
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    settings_file = folder / "adapter_config.json"
    written = json.loads(settings_file.read_text())
    written["target_modules"].sort()
    settings_file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    expected = {"peer": PEER, "base": "src/nn/goldens/llama", "ids": IDS, "logits": logits(model)}
    merged = model.merge_and_unload()
    expected["mergedLogits"] = logits(merged)
    names = [module for module in ALL if module in settings["target_modules"]]
    weights = {key: value for key, value in merged.state_dict().items() if any(f".{module}." in key for module in names)}
    expected["mergedWeights"] = {key: sums(value) for key, value in weights.items()}
    write_json(folder / "expected.json", expected, depth=1)


def main() -> None:
    for seed, (name, settings) in enumerate(ADAPTERS.items()):
        make_adapter(name, settings, seed)


main()
