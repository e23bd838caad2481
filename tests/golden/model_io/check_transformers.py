"""Checks that transformers loads what diapason-model writes, and the other way round.

    cargo build --release -p diapason-model --example checkpoint_io
    python check_transformers.py TARGET/release/examples/checkpoint_io

For a tied and an untied model: diapason writes a folder and its logits; transformers loads the
folder and must give the same logits. transformers then saves that model in its own form, in shards
and in each of three types; diapason loads it and must give the logits of transformers' model.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

TOLERANCE = 2e-5


def logits_of_diapason(program, action, folder):
    subprocess.run([program, action, str(folder)], check=True)
    found = json.loads((folder / "logits.json").read_text())
    return torch.tensor(found["ids"]), torch.tensor(found["logits"])


def logits_of_transformers(model, ids):
    with torch.no_grad():
        return model(ids[None]).logits[0]


def compare(what, found, expected):
    difference = (found - expected).abs().max().item()
    print(f"{what}: largest difference {difference:.2e} of logits to {expected.abs().max():.1f}")
    assert difference < TOLERANCE * max(1.0, expected.abs().max().item()), what


def main(program):
    torch.set_num_threads(1)
    for kind in ["tied", "untied"]:
        with tempfile.TemporaryDirectory() as scratch:
            written = pathlib.Path(scratch) / "written"
            ids, logits = logits_of_diapason(program, f"write-{kind}", written)
            model, loading = AutoModelForCausalLM.from_pretrained(
                written, attn_implementation="eager", output_loading_info=True
            )
            assert not any(loading.values()), loading
            assert model.dtype == torch.float32, model.dtype
            assert model.config.tie_word_embeddings == (kind == "tied")
            generation = GenerationConfig.from_pretrained(written)
            assert (generation.bos_token_id, generation.eos_token_id) == (1, [2, 3])
            compare(f"{kind}, transformers reads", logits_of_transformers(model, ids), logits)

            for dtype in [torch.float32, torch.bfloat16, torch.float16]:
                saved = pathlib.Path(scratch) / str(dtype)
                model.to(dtype).save_pretrained(saved, max_shard_size="30KB")
                assert (saved / "model.safetensors.index.json").exists()
                rounded = AutoModelForCausalLM.from_pretrained(
                    saved, attn_implementation="eager", dtype=torch.float32
                )
                _, logits = logits_of_diapason(program, "read", saved)
                expected = logits_of_transformers(rounded, ids)
                compare(f"{kind}, diapason reads shards of {dtype}", logits, expected)


if __name__ == "__main__":
    main(sys.argv[1])
