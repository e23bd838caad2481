"""Measures the error of PyTorch's own bf16: what ours is held against.

    python make_bf16.py

For every folder of `families/`, the forward and backward pass that `make_families.py` ran in float32
is run again under `torch.autocast("cpu", torch.bfloat16)`. `families/bf16.json` has the norm of what
changes, relative to the norm in float32: of all logits, and of the gradient of all weights together
and of each tensor.
"""

import json

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from make_families import FAMILIES, HERE, expected


def relative(found, exact):
    found, exact = (torch.cat([one.flatten().double() for one in many]) for many in (found, exact))
    return float((found - exact).norm() / exact.norm())


def main():
    torch.set_num_threads(1)
    errors = {}
    for name in FAMILIES:
        folder = HERE / "families" / name
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        exact = load_file(folder / "expected.safetensors")
        with torch.autocast("cpu", torch.bfloat16):
            found = {key: torch.from_numpy(value) for key, value in expected(model).items()}
        tensors = [key for key in exact if key.startswith("grad.")]
        errors[name] = {
            "logits": relative([found["logits"]], [exact["logits"]]),
            "gradient": relative([found[key] for key in tensors], [exact[key] for key in tensors]),
            "tensors": {
                key.removeprefix("grad."): relative([found[key]], [exact[key]]) for key in tensors
            },
        }
        print(f"{name:14} logits {errors[name]['logits']:.2e} gradient {errors[name]['gradient']:.2e}")
    (HERE / "families" / "bf16.json").write_text(json.dumps(errors, indent=1) + "\n")


main()
