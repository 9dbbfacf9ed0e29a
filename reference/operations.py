"""Golden outputs and gradients of the tensor operations, by PyTorch's autograd, for src/nn/goldens/operations.json.

    python reference/operations.py

A list of cases {operation, name, attributes, inputs, output, seed, gradients}. A tensor is {shape, data}, of 32-bit floats, or
with `dtype` "int64" of whole numbers. `gradients` holds one tensor per input (null for whole numbers and masks): those of
sum(output * seed). Computed in 64-bit floats from inputs of few digits. Needs torch; no network.
"""

import torch
from golden_file import ROOT, rounded, write_json
from torch.nn import functional

OUT = ROOT / "src" / "nn" / "goldens" / "operations.json"
CASES: list[dict] = []
SOURCE = torch.Generator().manual_seed(20250217)


def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
    values = torch.randn(shape, generator=SOURCE, dtype=torch.float64) * scale
    return values.mul(1000).round().div(1000).requires_grad_()


def positive(*shape: int) -> torch.Tensor:
    return (normal(*shape).detach().abs() + 0.25).requires_grad_()


def numbers(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def as_json(tensor: torch.Tensor | None) -> dict | None:
    if tensor is None:
        return None
    whole = {} if tensor.is_floating_point() else {"dtype": "int64"}
    return {"shape": list(tensor.shape), **whole, "data": rounded(tensor.reshape(-1))}


def case(operation: str, name: str, function, inputs: list[torch.Tensor], **attributes) -> None:
    output = function(*inputs)
    seed = normal(*output.shape).detach()
    trained = [tensor for tensor in inputs if tensor.requires_grad]
    slopes = iter(torch.autograd.grad((output * seed).sum(), trained))
    CASES.append({
        "operation": operation,
        "name": name,
        "attributes": attributes,
        "inputs": [as_json(tensor) for tensor in inputs],
        "output": as_json(output),
        "seed": as_json(seed),
        "gradients": [as_json(next(slopes)) if tensor.requires_grad else None for tensor in inputs],
    })  # fmt: skip


def products() -> None:
    case("matmul", "matrices", torch.matmul, [normal(3, 4), normal(4, 2)])
    case("matmul", "batches", torch.matmul, [normal(2, 2, 3, 4), normal(2, 2, 4, 2)])
    case("matmul", "a batch by a matrix", torch.matmul, [normal(2, 3, 4), normal(4, 2)])
    case("matmul", "broadcast batches", torch.matmul, [normal(2, 1, 3, 2), normal(4, 2, 3)])
    case("matmul", "b transposed", lambda a, b: a @ b.mT, [normal(2, 3, 4), normal(5, 4)], transposeB=True)
    case("matmul", "a transposed", lambda a, b: a.mT @ b, [normal(2, 4, 3), normal(2, 4, 2)], transposeA=True)
    weights = [normal(2, 3, 4), normal(5, 4), normal(5)]
    case("linear", "x, weight [out, in], bias", functional.linear, weights)


def broadcast() -> None:
    operators = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
    for operation, function in operators.items():
        second = positive if operation == "div" else normal
        case(operation, "equal shapes", function, [normal(2, 3), second(2, 3)])
        case(operation, "[2, 3] and [3]", function, [normal(2, 3), second(3)])
        case(operation, "[2, 1, 3] and [4, 1]", function, [normal(2, 1, 3), second(4, 1)])
        case(operation, "[2, 3] and a scalar", function, [normal(2, 3), second()])


def layout() -> None:
    case("reshape", "[2, 3, 4] to [6, 4]", lambda x: x.reshape(6, 4), [normal(2, 3, 4)], shape=[6, 4])
    case("transpose", "order 0 2 1 3", lambda x: x.permute(0, 2, 1, 3), [normal(2, 3, 2, 2)], order=[0, 2, 1, 3])
    case("transpose", "order 2 0 1", lambda x: x.permute(2, 0, 1), [normal(2, 3, 2)], order=[2, 0, 1])
    case("slice", "axis 1, 1 to 3", lambda x: x[:, 1:3], [normal(2, 4, 3)], axis=1, start=1, end=3)
    case("slice", "last axis, -2 to the end", lambda x: x[..., -2:], [normal(2, 3, 4)], axis=-1, start=-2, end=None)
    case("concat", "axis 1", lambda *x: torch.cat(x, 1), [normal(2, 1, 2), normal(2, 3, 2), normal(2, 2, 2)], axis=1)
    case("concat", "last axis", lambda *x: torch.cat(x, -1), [normal(2, 3), normal(2, 2)], axis=-1)
    indices = torch.tensor([[4, 1, 4], [0, 4, 1]])
    case("gather", "rows of a table, some repeated", lambda t, i: t[i], [normal(6, 3), indices], axis=0)
    case("expand", "[2, 1, 3] to [2, 4, 3]", lambda x: x.expand(2, 4, 3), [normal(2, 1, 3)], shape=[2, 4, 3])
    case("expand", "[3] to [2, 3]", lambda x: x.expand(2, 3), [normal(3)], shape=[2, 3])
    choice = torch.tensor([[1, 0, 1], [0, 0, 1]])
    case("where", "condition, a, b", lambda c, a, b: torch.where(c.bool(), a, b), [choice, normal(2, 3), normal(3)])


def reductions() -> None:
    for operation, function in {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}.items():
        for axes, keep in (([-1], False), ([1], True), ([0, 2], False)):
            attributes = {"axes": axes, "keepDimensions": keep}
            call = lambda x: function(x, dim=axes, keepdim=keep)
            case(operation, f"axes {axes}{', kept' if keep else ''}", call, [normal(2, 3, 4)], **attributes)
        whole = lambda x: function(x, dim=[0, 1])
        case(operation, "everything", whole, [normal(2, 3)], axes=None, keepDimensions=False)


def pointwise() -> None:
    both = numbers(-4.0, -1.5, -0.7, -0.1, 0.1, 0.3, 1.0, 2.5, 5.0)
    far = numbers(-90.0, -30.0, -2.0, 0.5, 30.0, 90.0)
    for operation, function in {
        "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "silu": functional.silu,
        "softplus": functional.softplus, "neg": torch.neg,
    }.items():  # fmt: skip
        case(operation, "both signs", function, [both])
    for operation, function in {
        "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": lambda x: -functional.logsigmoid(-x),
    }.items():  # fmt: skip
        case(operation, "far from 0", function, [far])
    for operation, function in {"log": torch.log, "sqrt": torch.sqrt, "reciprocal": torch.reciprocal}.items():
        case(operation, "above 0", function, [positive(2, 4)])
    for approximate in ("none", "tanh"):
        call = lambda x: functional.gelu(x, approximate=approximate)
        case("gelu", {"none": "exact", "tanh": "by tanh"}[approximate], call, [both], approximate=approximate)


def normalisations() -> None:
    high = numbers([100.0, 99.0, -50.0], [-1000.0, -1001.0, -999.5])
    for operation, function in {"softmax": torch.softmax, "logSoftmax": torch.log_softmax}.items():
        case(operation, "last axis", lambda x: function(x, -1), [normal(2, 3, 4)], axis=-1)
        case(operation, "large numbers", lambda x: function(x, -1), [high], axis=-1)
    norm = lambda x, w, b: functional.layer_norm(x, [4], w, b, 1e-5)
    case("layerNorm", "x, scale, shift", norm, [normal(2, 3, 4, scale=2), normal(4), normal(4)], epsilon=1e-5)
    rms = lambda x, w: functional.rms_norm(x, [4], w, 1e-5)
    case("rmsNorm", "x, scale", rms, [normal(2, 3, 4, scale=2), normal(4)], epsilon=1e-5)
    case("rmsNorm", "small x", rms, [normal(2, 4, scale=0.01), normal(4)], epsilon=1e-5)
    unit = lambda x: functional.normalize(x, dim=-1)
    case("l2Normalize", "last axis", unit, [normal(2, 3, 4)], axis=-1, epsilon=1e-12)


def rotated(x: torch.Tensor, positions: torch.Tensor, theta: float) -> torch.Tensor:
    """x [batch, heads, sequence, size], positions [batch, sequence]; pairs are (i, i + size / 2)."""
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = (positions[..., None] * frequencies)[:, None]  # [batch, 1, sequence, half]
    cos, sin = angles.cos(), angles.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def attended(query, key, value, mask, causal: bool) -> torch.Tensor:
    """query [batch, heads, sequence, size], key and value [batch, kv heads, sequence, size], mask [batch, sequence]."""
    sequence = mask.shape[1]
    seen = mask.bool()[:, None, None, :].expand(-1, 1, sequence, -1)
    if causal:
        seen = seen & torch.ones(sequence, sequence, dtype=torch.bool).tril()
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, enable_gqa=True)


def attention() -> None:
    turn = lambda x, p: rotated(x, p, 100.0)
    places = torch.tensor([[0, 1, 2], [3, 7, 50]])
    case("rotary", "x [batch, heads, sequence, size], positions", turn, [normal(2, 2, 3, 6), places], theta=100)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    for heads, shared, causal in ((2, 2, False), (4, 2, True), (2, 1, True)):
        call = lambda q, k, v, m: attended(q, k, v, m, causal)
        tensors = [normal(2, heads, 4, 4), normal(2, shared, 4, 4), normal(2, shared, 4, 4), mask]
        name = f"{heads} heads, {shared} of keys, {'causal' if causal else 'both directions'}, padded on the right"
        case("attention", name, call, tensors, causal=causal, scale=0.5)


def losses() -> None:
    targets = torch.tensor([[3, 0, 3], [4, 1, 2]])
    picked = lambda x, t: x.log_softmax(-1).gather(-1, t[..., None])[..., 0]
    case("gatherLogProbabilities", "logits, targets", picked, [normal(2, 3, 5, scale=2), targets])
    mean = lambda x, t: functional.cross_entropy(x, t)
    case("crossEntropy", "mean over rows", mean, [normal(4, 5, scale=2), torch.tensor([1, 4, 0, 1])])
    hidden = [normal(3, 4), normal(6, 4), torch.tensor([5, 0, 5])]
    whole = lambda h, w, t: (h @ w.T).log_softmax(-1).gather(-1, t[:, None])[:, 0]
    case("headLogProbabilities", "hidden, head [vocabulary, hidden], targets", whole, hidden)


def main() -> None:
    for part in (products, broadcast, layout, reductions, pointwise, normalisations, attention, losses):
        part()
    peer = f"torch {torch.__version__.split('+')[0]}, by reference/operations.py"
    write_json(OUT, {"peer": peer, "cases": CASES}, depth=2)


main()
