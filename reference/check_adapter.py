"""Checks that PEFT, with an adapter written by this project, computes the same logits as this project.

    python reference/check_adapter.py ADAPTER BASE EXPECTED.json

ADAPTER is a folder with adapter_config.json and adapter_model.safetensors, BASE the checkpoint it belongs to. EXPECTED.json holds
`ids` of one text and `logits`, one row per token (as src/models/goldens/adapters/*/expected.json does). Fails if a logit is off
by more than 1e-4, or if PEFT finds missing or unexpected tensors. Needs torch, transformers, peft; no network.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402

TOLERANCE = 1e-4


def check_names(model: peft.PeftModel, folder: Path) -> None:
    """PEFT itself only warns."""
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        found = set(file.keys())
    wanted = set(peft.get_peft_model_state_dict(model))
    assert found == wanted, f"missing: {sorted(wanted - found)}; beyond: {sorted(found - wanted)}"


def main(adapter: str, base: str, expected: str) -> None:
    document = json.loads(Path(expected).read_text())
    plain = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(plain, adapter).eval()
    check_names(model, Path(adapter))
    ids = torch.tensor([document["ids"]])
    ours = torch.tensor(document["logits"])
    with torch.no_grad():
        theirs = model(input_ids=ids).logits[0]
        with model.disable_adapter():
            effect = (model(input_ids=ids).logits[0] - theirs).abs().max().item()
    off = (theirs - ours).abs().max().item()
    print(f"peft {peft.__version__}: largest difference {off:.2e}; the adapter moves logits by up to {effect:.2e}")
    assert off <= TOLERANCE, f"logits differ by {off:.2e}, more than {TOLERANCE:.0e}"


main(*sys.argv[1:])
