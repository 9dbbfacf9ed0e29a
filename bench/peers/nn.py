"""Training steps of PyTorch with Transformers (and PEFT), in 32-bit floats; each call is a process of its own.
In: the StepJob of bench/sections/nn-child.ts. Out: its StepFigures. Loss and gradients as a user of the library computes
them; backward without an optimiser. The peak of memory starts anew once the model is loaded, as on our side."""
import json, os, sys, time
import torch

job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])
ids = torch.tensor(job["ids"])
mask = torch.ones_like(ids)


def contrastive():
    from transformers import AutoModel

    model = AutoModel.from_pretrained(job["model"], add_pooling_layer=False, dtype=torch.float32)
    model.eval()  # No dropout, as on our side.

    def loss():
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors = torch.nn.functional.normalize(hidden.mean(1), dim=-1)
        queries, documents = vectors.chunk(2)
        return torch.nn.functional.cross_entropy(queries @ documents.T / 0.05, torch.arange(len(queries)))

    return model, loss


def completions():
    import peft
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    settings = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(base, settings).eval()
    labels = ids.clone()
    labels[:, : -job["scored"]] = -100
    return model, lambda: model(input_ids=ids, attention_mask=mask, labels=labels).loss


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def timed(work):
    seconds = []
    for _ in range(job["repetitions"] + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[1:])[(len(seconds) - 1) // 2]


model, loss = contrastive() if job["task"] == "bert" else completions()
loading = peak()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")


def step():
    model.zero_grad(set_to_none=True)
    loss().backward()


def forward():
    with torch.no_grad():
        return loss().item()


seconds = timed(step)
stepping = peak()
model.zero_grad(set_to_none=True)
result = {"step": seconds, "forward": timed(forward), "loss": forward()}
print(json.dumps(result | {"peak": stepping, "wholePeak": max(loading, stepping)}), flush=True)
os._exit(0)
