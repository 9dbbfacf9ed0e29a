"""SHA-256 of every tensor of two real models, as 32-bit floats, as their own libraries read them.

Usage: python reference/models_real.py SMOLLM2.gguf MINILM/model.safetensors OUTPUT.json
Needs gguf, safetensors, numpy. The output is committed as src/models/goldens/real-models.json.
"""

import hashlib
import json
import sys

import gguf
import numpy as np
from safetensors.numpy import load_file


def digest(values) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes()).hexdigest()


def main(gguf_file, safetensors_file, output):
    reader = gguf.GGUFReader(gguf_file)
    generator = {tensor.name: digest(gguf.dequantize(tensor.data, tensor.tensor_type)) for tensor in reader.tensors}
    encoder = {name: digest(values) for name, values in load_file(safetensors_file).items()}
    # One layer of each is enough: the others differ only in their numbers.
    generator = {name: value for name, value in generator.items() if not name.startswith("blk.") or name.startswith("blk.7.")}
    encoder = {name: value for name, value in encoder.items() if "layer." not in name or "layer.3." in name}
    with open(output, "w") as file:
        json.dump({"smollm2-135m-instruct": generator, "all-minilm-l6-v2": encoder}, file, indent=1)
        file.write("\n")


main(*sys.argv[1:])
