"""Golden steps of PyTorch's AdamW, and the learning-rate schedules of Transformers, for src/train/goldens/optimizer.json.

    python reference/optimizer.py

Three tensors take 20 steps of AdamW after their gradients were clipped by global norm, under the linear schedule with
warm-up. The parameters at the start and the gradients follow formulas of whole numbers over powers of 2, exact in 32 bits, so they can be reproduced; with n the number of a tensor, i of an element and s of the step, all from 0:

    parameter[n][i]   = ((i * 7 + n * 5) % 17 - 8) / 16
    gradient[s][n][i] = ((i * 5 + n * 3 + s * 11) % 23 - 11) * 2 ** (n - 4 - s % 4)

Tensors 0 and 1 decay, tensor 2 does not. The schedule's factor for step s is that of s steps already taken, as in Transformers' Trainer: with warm-up the first step has rate 0. The norm of a step is that before clipping. Schedules are factors of
the peak rate. Needs torch, transformers; no network.
"""

import torch
import transformers
from golden_file import ROOT, rounded, write_json

OUT = ROOT / "src" / "train" / "goldens" / "optimizer.json"
SHAPES = [[3, 4], [5], [2, 3]]
DECAYS = [0.01, 0.01, 0.0]
STEPS, WARM_UP, RATE, CLIP = 20, 4, 0.0078125, 1.0
BETAS, EPSILON = (0.9, 0.999), 1e-8


def start(n: int) -> torch.Tensor:
    size = torch.Size(SHAPES[n]).numel()
    return torch.tensor([((i * 7 + n * 5) % 17 - 8) / 16 for i in range(size)]).reshape(SHAPES[n])


def gradient(step: int, n: int) -> torch.Tensor:
    size = torch.Size(SHAPES[n]).numel()
    values = [((i * 5 + n * 3 + step * 11) % 23 - 11) * 2.0 ** (n - 4 - step % 4) for i in range(size)]
    return torch.tensor(values).reshape(SHAPES[n])


def flat(parameters: list[torch.nn.Parameter]) -> list:
    return [rounded_fully(parameter) for parameter in parameters]


def rounded_fully(tensor: torch.Tensor) -> list[float]:
    """All 9 digits that distinguish 32-bit floats, because the tolerance is 1e-6."""
    return [float(f"{value:.9g}") for value in tensor.detach().reshape(-1).tolist()]


def adamw() -> dict:
    parameters = [torch.nn.Parameter(start(n)) for n in range(len(SHAPES))]
    groups = [{"params": [parameter], "weight_decay": decay} for parameter, decay in zip(parameters, DECAYS)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPSILON)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, WARM_UP, STEPS)
    norms, rates, after = [], [], {}
    for step in range(STEPS):
        for n, parameter in enumerate(parameters):
            parameter.grad = gradient(step, n)
        norms.append(rounded(torch.nn.utils.clip_grad_norm_(parameters, CLIP)))
        rates.append(rounded(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
        if step + 1 in (1, 5, STEPS):
            after[str(step + 1)] = flat(parameters)
    return {
        "settings": {
            "learningRate": RATE, "beta1": BETAS[0], "beta2": BETAS[1], "epsilon": EPSILON, "maxGradNorm": CLIP,
            "warmupSteps": WARM_UP, "steps": STEPS,
        },
        "shapes": SHAPES,
        "weightDecays": DECAYS,
        "rates": rates,
        "norms": norms,
        "parametersAfterStep": after,
        "firstMoments": [rounded_fully(optimizer.state[parameter]["exp_avg"]) for parameter in parameters],
        "secondMoments": [rounded_fully(optimizer.state[parameter]["exp_avg_sq"]) for parameter in parameters],
    }  # fmt: skip


def factors(maker, *numbers: int, **options) -> list[float]:
    """The factor of each of 30 steps and of the one after."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = maker(optimizer, *numbers, **options)
    found = []
    for _ in range(31):
        found.append(rounded(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return found


def main() -> None:
    linear, cosine = transformers.get_linear_schedule_with_warmup, transformers.get_cosine_schedule_with_warmup
    constant = transformers.get_constant_schedule_with_warmup
    schedules = []
    for warm_up in (0, 5):
        known = {"steps": 30, "warmupSteps": warm_up}
        schedules.append({"schedule": "linear", **known, "factors": factors(linear, warm_up, 30)})
        schedules.append({"schedule": "cosine", **known, "factors": factors(cosine, warm_up, 30)})
        schedules.append({"schedule": "constant", **known, "factors": factors(constant, warm_up)})
    peer = f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, by reference/optimizer.py"
    write_json(OUT, {"peer": peer, "adamw": adamw(), "schedules": schedules}, depth=2)


main()
