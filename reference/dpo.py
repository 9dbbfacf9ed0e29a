"""Golden runs of TRL's DPOTrainer and SFTTrainer, with PEFT, on the tiny llama (architectures.py, tiny_tokenizer.py).

    pip install trl==1.16.0 peft==0.21.2 transformers==5.23.0
    python reference/dpo.py

writes src/train/goldens/dpo/: golden.json, initial.safetensors (the adapter that every run starts from) and one
one <run>.safetensors per run (the adapter after 10 steps). What TRL 1.16.0 does, according to its source and these runs:

- Conversational pairs: ids of the rendered prompt (with generation prompt), and of prompt + answer rendered as one chat. The
  prompt ends where the first differs from either of the other two; what follows is the completion. So a completion holds whatever
  the template writes after the answer ("<|im_end|>\n" in ChatML), and no EOS is added. Plain text gets EOS where it is missing.
- A pair is cut at the end to max_length (default 1024; the EOS goes first); one whose prompt alone is as long as that is
  dropped silently. There is no option for the prompt's length.
- log p of an answer is the SUM over its tokens. sigmoid: -log s(beta * d), where d is the difference of the two sums' changes
  from the reference; hinge: max(0, 1 - beta * d); ipo: (d' - 1 / (2 beta))^2 and sigmoid_norm: -log s(beta * d'), where each
  change in d' is divided by its number of completion tokens; robust: with label smoothing e,
  (-(1 - e) log s(beta * d) + e log s(-beta * d)) / (1 - 2 e); sft: -log p of chosen, the MEAN over the completion tokens of
  the micro-batch. Types are summed by weight.
- A loss is a mean over the pairs of its micro-batch, then over the micro-batches of a step, equal weights (so the sft part
  is not a mean over the tokens of the complete batch). SFTTrainer divides by the completion tokens of the whole batch instead.
- Rewards are beta times the change of the sum, for every loss type; a pair of equal rewards counts as wrong, so the accuracy
  of the first step of a new adapter is 0. The log of a step averages its micro-batches; grad_norm is before clipping,
  learning_rate the one used in the step, num_tokens all real tokens (prompts too) since the start.
- The reference is the model with the adapter off; disable_dropout is on by default, which sets LoRA's dropout to 0 as
  well; bf16 and gradient checkpointing are on by default; AdamW (0.9, 0.999, 1e-8) has no weight decay, its rate falls
  linearly, without warm-up.
- precompute_ref_log_probs computes the same sums before training, once, in batches of the training's size, and caches them
  under a hash of the data set and the model's weights.
- An adapter on lm_head is refused; the vocabulary's logits are computed in tiles, for completion tokens only.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"

import tempfile  # noqa: E402

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402
from datasets import Dataset  # noqa: E402
from golden_file import ROOT, rounded, write_json, write_tensors  # noqa: E402

OUT = ROOT / "src" / "train" / "goldens" / "dpo"
BASE = ROOT / "src" / "nn" / "goldens" / "llama"
PEER = f"trl {trl.__version__}, peft {peft.__version__}, transformers {transformers.__version__}, by reference/dpo.py"
STEPS = 10
SHARED = {
    "learning_rate": 1e-3, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, "max_grad_norm": 10.0,
    "lr_scheduler_type": "linear", "warmup_steps": 0, "weight_decay": 0.0, "max_length": 128,
}  # fmt: skip
LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}
BETA = 0.1
DPO_RUNS = {
    "sigmoid": {"loss_type": ["sigmoid"]},
    "ipo": {"loss_type": ["ipo"]},
    "hinge": {"loss_type": ["hinge"]},
    "robust": {"loss_type": ["robust"], "label_smoothing": 0.1},
    "sigmoid-norm": {"loss_type": ["sigmoid_norm"]},
    "sigmoid-sft": {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
    # Weight decay, warm-up and clipping have an effect; two micro-batches per step.
    "accumulated": {
        "loss_type": ["sigmoid"], "gradient_accumulation_steps": 2, "warmup_steps": 3, "weight_decay": 0.1,
        "max_grad_norm": 0.5, "learning_rate": 1e-2,
    },
    "truncated": {"loss_type": ["sigmoid"], "max_length": 56},
}  # fmt: skip
SFT_RUNS = {"sft": {}, "sft-accumulated": {"gradient_accumulation_steps": 2}}
FULL_SFT = {"learning_rate": 1e-3}
PAIRS = [
    ("What is a lagoon?", "A lagoon is a shallow body of water beside the sea.", "It is a kind of saw."),
    ("What is a hacksaw?", "A saw with a thin blade that cuts metal.", "A hacksaw is an animal of the sea, of course."),
    ("Define: ebb", "The flow of the tide out to sea.", "Ebb."),
    ("who wrote hamlet", "William Shakespeare wrote it near 1600.", "Hamlet was written by a committee of bees."),
    ("What is ice?", "Frozen water.", "Ice is what a fire leaves behind when it has burnt."),
    ("How far is the moon?", "About 384,400 km from the earth.", "Not far: you can walk it in a day or two."),
    ("What do bees make?", "Honey, and wax for their comb.", "Bees make bread."),
    ("Is glass a liquid?", "No, it is an amorphous solid.", "Yes."),
]  # fmt: skip


def pairs() -> list[dict]:
    def turn(role: str, content: str) -> list[dict]:
        return [{"role": role, "content": content}]

    return [
        {"prompt": turn("user", prompt), "chosen": turn("assistant", good), "rejected": turn("assistant", bad)}
        for prompt, good, bad in PAIRS
    ]


class Log(transformers.TrainerCallback):
    """The trainer's log of every step."""

    KEYS = {
        "loss": "loss", "grad_norm": "gradientNorm", "learning_rate": "learningRate",
        "rewards/chosen": "rewardChosen", "rewards/rejected": "rewardRejected", "rewards/margins": "margin",
        "rewards/accuracies": "accuracy", "logps/chosen": "logProbabilityChosen",
        "logps/rejected": "logProbabilityRejected", "num_tokens": "tokens",
    }  # fmt: skip

    def __init__(self) -> None:
        self.steps: list[dict] = []

    def on_log(self, args, state, control, logs=None, **rest) -> None:
        if "loss" in logs:
            self.steps.append({name: rounded(logs[key]) for key, name in self.KEYS.items() if key in logs})


def adapter(trainer) -> dict[str, torch.Tensor]:
    state = peft.get_peft_model_state_dict(trainer.model)
    return {name.removeprefix("base_model.model."): weight.clone() for name, weight in state.items()}


def settings(folder: str, own: dict) -> dict:
    fixed = {
        "max_steps": STEPS, "logging_steps": 1, "save_strategy": "no", "report_to": "none", "use_cpu": True, "bf16": False,
        "gradient_checkpointing": False, "train_sampling_strategy": "sequential", "seed": 42, "disable_tqdm": True,
    }  # fmt: skip
    return {"output_dir": folder, **fixed, **SHARED, **own}


def trained(make, folder: str, name: str) -> tuple:
    """The trainer after its steps, its log, and the adapter it started from."""
    log = Log()
    trainer = make(folder)
    trainer.add_callback(log)
    start = adapter(trainer) if isinstance(trainer.model, peft.PeftModel) else {}
    trainer.train()
    assert len(log.steps) == STEPS, f"{name}: {len(log.steps)} steps"
    return trainer, log.steps, start


def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(BASE)


def model():
    return transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager")


def dpo_trainer(own: dict, folder: str, **more) -> trl.DPOTrainer:
    return trl.DPOTrainer(
        model=model(),
        args=trl.DPOConfig(**settings(folder, {"beta": BETA, **own}), **more),
        train_dataset=Dataset.from_list(pairs()),
        processing_class=tokenizer(),
        peft_config=peft.LoraConfig(task_type="CAUSAL_LM", **LORA),
    )


def sft_trainer(own: dict, folder: str, lora: bool) -> trl.SFTTrainer:
    examples = [{"prompt": pair["prompt"], "completion": pair["chosen"]} for pair in pairs()]
    return trl.SFTTrainer(
        model=model(),
        args=trl.SFTConfig(**settings(folder, own)),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer(),
        peft_config=peft.LoraConfig(task_type="CAUSAL_LM", **LORA) if lora else None,
    )


def tokens_and_reference(folder: str) -> list[dict]:
    rows = dpo_trainer({}, folder, precompute_ref_log_probs=True).train_dataset
    return [
        {
            "promptIds": row["prompt_ids"],
            "chosenIds": row["chosen_ids"],
            "rejectedIds": row["rejected_ids"],
            "referenceChosen": rounded(row["ref_chosen_logps"]),
            "referenceRejected": rounded(row["ref_rejected_logps"]),
        }
        for row in rows
    ]


def full_fine_tuning(folder: str) -> dict:
    """No adapter: every weight is trained. Returns the sum and the sum of squares of each after the steps."""
    trainer, steps, _ = trained(lambda at: sft_trainer(FULL_SFT, at, lora=False), folder, "full")
    weights = {name: weight.detach().double() for name, weight in trainer.model.named_parameters()}
    sums = {name: rounded([weight.sum().item(), weight.square().sum().item()]) for name, weight in weights.items()}
    return {"method": "sft", "full": True, "settings": FULL_SFT, "steps": steps, "weightSums": sums}


def main() -> None:
    runs, starts = {}, []
    with tempfile.TemporaryDirectory() as folder:
        rows = tokens_and_reference(folder)
        makers = {name: ("dpo", own, lambda at, own=own: dpo_trainer(own, at)) for name, own in DPO_RUNS.items()}
        makers |= {name: ("sft", own, lambda at, own=own: sft_trainer(own, at, True)) for name, own in SFT_RUNS.items()}
        for name, (method, own, make) in makers.items():
            trainer, steps, start = trained(make, folder, name)
            runs[name] = {"method": method, "settings": own, "steps": steps}
            starts.append(start)
            write_tensors(OUT / f"{name}.safetensors", adapter(trainer))
        runs["sft-full"] = full_fine_tuning(folder)
    assert all(torch.equal(start[key], starts[0][key]) for start in starts for key in start)
    write_tensors(OUT / "initial.safetensors", starts[0])
    document = {
        "peer": PEER, "base": "src/nn/goldens/llama", "lora": LORA, "beta": BETA, "shared": SHARED, "pairs": pairs(),
        "rows": rows, "runs": runs,
    }  # fmt: skip
    write_json(OUT / "golden.json", document, depth=3)


main()
