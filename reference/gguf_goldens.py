"""Values as stored by llama.cpp's own Python package and by PyTorch, to compare our encoders with.

    python reference/gguf_goldens.py

writes src/models/goldens/encodings.json: for rows of 32 values their bytes as F16, BF16 and Q8_0, all in base64. Q8_0 is
gguf's own quantiser, which is bit-exact with ggml-quants.c. Needs gguf, numpy, torch; no network.
"""

import base64
import json
from pathlib import Path

import gguf
import numpy
import torch

OUT = Path(__file__).resolve().parents[1] / "src" / "models" / "goldens" / "encodings.json"


def rows() -> numpy.ndarray:
    random = numpy.random.default_rng(3)
    sizes = (1e-9, 1e-7, 3e-6, 6e-5, 1e-3, 0.02, 1.0, 40.0, 3e4)
    drawn = [random.normal(0, size, 32) for size in sizes]
    # Half steps on both sides of the largest and of the smallest half-precision number.
    steps = numpy.arange(-16, 16) * 0.5
    steps[0] = 127
    edges = numpy.resize([65504, 65519.9, 65520, -65536, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 2.0**-14, 2.0**-14 - 2.0**-25, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 0.0, -0.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8], 32)
    return numpy.stack([*drawn, steps, edges, numpy.zeros(32)]).astype(numpy.float32)


def encode(array: numpy.ndarray) -> str:
    return base64.b64encode(numpy.ascontiguousarray(array).tobytes()).decode()


def main() -> None:
    values = rows()
    # Scales beyond half precision have no meaning in Q8_0.
    blocks = values[numpy.abs(values).max(axis=1) < 8e6]
    with numpy.errstate(over="ignore"):
        halves = values.astype(numpy.float16)
    golden = {
        "peer": f"gguf (llama.cpp), numpy {numpy.__version__}, torch {torch.__version__}, by reference/gguf_goldens.py",
        "values": encode(values),
        "F16": encode(halves),
        "BF16": encode(torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy()),
        "Q8_0": encode(gguf.quants.quantize(blocks, gguf.GGMLQuantizationType.Q8_0)),
    }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


main()
