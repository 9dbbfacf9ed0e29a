"""DPO of TRL's DPOTrainer with PEFT on the CPU, in 32-bit floats, reference log-probabilities computed beforehand.
In: the DpoJob of bench/sections/dpo-child.ts, `perDevice`, the pairs of a micro-batch, and `checkpointing`, whether
activations are computed again (gradient checkpointing). Out: its DpoFigures."""
import json, os, resource, sys, time

os.environ["TQDM_DISABLE"] = "1"
import peft
import torch
import transformers
import trl
from datasets import Dataset

job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])


class Clock(transformers.TrainerCallback):
    def __init__(self):
        self.ends, self.losses = [], []

    def on_step_end(self, *_, **__):
        self.ends.append(time.perf_counter())

    def on_log(self, *_, logs=None, **__):
        if "loss" in logs:
            self.losses.append(logs["loss"])


settings = trl.DPOConfig(
    output_dir=job["out"], per_device_train_batch_size=job["perDevice"], max_steps=job["steps"],
    gradient_accumulation_steps=job["batchSize"] // job["perDevice"], max_length=job["maxLength"], learning_rate=1e-4,
    precompute_ref_log_probs=True, bf16=False, use_cpu=True, gradient_checkpointing=job["checkpointing"], logging_steps=1,
    save_strategy="no", report_to="none", disable_tqdm=True,
)  # fmt: skip
tokenizer = transformers.AutoTokenizer.from_pretrained(job["folder"])
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
rows = [{key: pair[key] for key in ("prompt", "chosen", "rejected")} for pair in job["pairs"]]
clock = Clock()
started = time.perf_counter()
trainer = trl.DPOTrainer(
    model=transformers.AutoModelForCausalLM.from_pretrained(job["folder"], dtype=torch.float32),
    args=settings,
    train_dataset=Dataset.from_list(rows),
    processing_class=tokenizer,
    peft_config=peft.LoraConfig(r=8, lora_alpha=32, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
)
reference = time.perf_counter() - started
trainer.add_callback(clock)
trainer.train()
step = (clock.ends[-1] - clock.ends[0]) / (len(clock.ends) - 1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"step": step, "reference": reference, "peak": peak, "losses": clock.losses}), flush=True)
os._exit(0)
