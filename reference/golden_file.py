"""Shared code of these scripts: numbers with 7 significant digits, JSON with one entry per line, safetensors files."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parent.parent


def rounded(values):
    """A tensor, a list or a number as JSON: whole numbers as they are, others to 7 significant digits."""
    if isinstance(values, torch.Tensor):
        return rounded(values.detach().tolist())
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [rounded(value) for value in values]
    if isinstance(values, float):
        short = float(f"{values:.7g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    return values


def write_json(file: Path, document: dict | list, depth: int = 1) -> None:
    """Entries down to `depth` are on separate lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_lines(document, depth, "") + "\n")


def _lines(value, depth: int, indent: str) -> str:
    if depth == 0 or not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        entries = [f"{json.dumps(key)}: {_lines(entry, depth - 1, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(inner + entry for entry in entries) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _lines(entry, depth - 1, inner) for entry in value) + f"\n{indent}]"


def write_tensors(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().to(torch.float32).contiguous().clone() for name, tensor in tensors.items()}
    save_file(tensors, file, metadata={"format": "pt"})
