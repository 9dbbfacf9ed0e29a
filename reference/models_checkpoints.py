"""Golden checkpoints: small files written by PyTorch, safetensors and gguf, and the values of their tensors.

Usage: python reference/models_checkpoints.py OUTPUT.json
Needs torch, safetensors, gguf, numpy. The output is committed as src/models/goldens/checkpoints.json.
"""

import base64
import collections
import io
import json
import os
import pickle
import sys
import tempfile
import zipfile

import gguf
import numpy as np
import torch
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from safetensors.torch import save as save_safetensors

random = np.random.default_rng(7)
torch.manual_seed(7)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def floats(values) -> str:
    return text(np.ascontiguousarray(values, dtype=np.float32).tobytes())


def expected(tensors) -> list:
    return [
        {"name": name, "shape": list(tensor.shape), "values": floats(tensor.detach().to(torch.float32).numpy())}
        for name, tensor in tensors.items()
    ]


def plain_tensors() -> dict:
    return {
        "f32": torch.randn(3, 4),
        "f64": torch.randn(2, 2, dtype=torch.float64),
        "f16": torch.randn(5).half(),
        "bf16": torch.randn(2, 3).bfloat16(),
        "position_ids": torch.arange(6).reshape(1, 6),
        "i32": torch.tensor([-7, 8], dtype=torch.int32),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "flag": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
    }


def torch_tensors() -> collections.OrderedDict:
    shared = torch.randn(4, 6)
    tensors = collections.OrderedDict(plain_tensors())
    tensors["transposed"] = torch.randn(3, 5).t()
    tensors["part"] = shared[1:3, 2:5]
    tensors["permuted"] = torch.randn(2, 3, 4).permute(2, 0, 1)
    tensors["whole"] = shared
    tensors["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    return tensors


def saved(value, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


class Command:
    def __reduce__(self):
        return os.system, ("echo executed",)


def quantised(kind: Type, rows: int, columns: int):
    """Bytes of a tensor: quantised noise, or for the K types random blocks with ordinary scales."""
    block, size = GGML_QUANT_SIZES[kind]
    if not kind.name.endswith("_K"):
        return gguf.quantize(random.standard_normal((rows, columns)).astype(np.float32), kind)
    blocks = random.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    halves = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}[kind.name]
    for at in halves:
        scale = (random.standard_normal(len(blocks)) / 50).astype(np.float16)
        blocks[:, at : at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def gguf_file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "small.gguf")
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint8("test.u8", 200)
        writer.add_int8("test.i8", -100)
        writer.add_uint16("test.u16", 60000)
        writer.add_int16("test.i16", -30000)
        writer.add_uint32("test.u32", 4000000000)
        writer.add_int32("test.i32", -2000000000)
        writer.add_float32("test.f32", 0.5)
        writer.add_bool("test.bool", True)
        writer.add_string("test.string", "Grüße, 世界 🙂")
        writer.add_array("test.texts", ["a", "", "ß"])
        writer.add_array("test.numbers", [1, -2, 3])
        writer.add_array("test.floats", [0.25, -0.5])
        writer.add_uint64("test.u64", 1 << 40)
        writer.add_uint64("test.u64.large", (1 << 64) - 1)
        writer.add_int64("test.i64", -(1 << 40))
        writer.add_float64("test.f64", 0.1)
        tensors = []
        kinds = [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
        kinds += [Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]
        for kind in kinds:
            rows, columns = (2, 512) if kind.name.endswith("_K") else (2, 96)
            data = quantised(kind, rows, columns)
            values = gguf.dequantize(data, kind).reshape(rows, columns)
            if kind in (Type.F32, Type.F16):
                writer.add_tensor(f"{kind.name}.weight", data)
            else:
                writer.add_tensor(f"{kind.name}.weight", data.view(np.uint8), raw_dtype=kind)
            tensors.append({"name": f"{kind.name}.weight", "shape": [rows, columns], "values": floats(values)})
        cube = random.standard_normal((2, 3, 4)).astype(np.float32)
        writer.add_tensor("cube", cube)
        tensors.append({"name": "cube", "shape": [2, 3, 4], "values": floats(cube)})
        writer.add_tensor("IQ4_NL.weight", random.integers(0, 256, (2, 18), dtype=np.uint8), raw_dtype=Type.IQ4_NL)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with open(path, "rb") as file:
            return file.read(), tensors


def evil_archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": Command()}, protocol=2))
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def main(output: str) -> None:
    plain, views = plain_tensors(), torch_tensors()
    module = torch.nn.Linear(3, 2)
    gguf_bytes, gguf_tensors = gguf_file()
    files = {
        "small.safetensors": save_safetensors(plain, metadata={"format": "pt"}),
        "small.bin": saved(views),
        "module.bin": saved(module.state_dict()),
        "wrapped.bin": saved({"epoch": 3, "state_dict": module.state_dict()}),
        "legacy.bin": saved(module.state_dict(), _use_new_zipfile_serialization=False),
        "repeated.bin": saved({"repeated": torch.zeros(1).expand(1000)}),
        "os-system.bin": evil_archive(),
        "small.gguf": gguf_bytes,
    }
    tensors = {
        "small.safetensors": expected(plain),
        "small.bin": expected(views),
        "module.bin": expected(module.state_dict()),
        "small.gguf": gguf_tensors,
    }
    halves = np.arange(65536, dtype=np.uint16)
    halves = random.permutation(halves[~np.isnan(halves.view(np.float16))])[:2000]
    half = {"bits": text(halves.tobytes()), "values": floats(halves.view(np.float16).astype(np.float32))}
    document = {"files": {name: text(data) for name, data in files.items()}, "tensors": tensors, "half": half}
    with open(output, "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


main(sys.argv[1])
