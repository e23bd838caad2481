"""Checks that transformers loads what diapason-model writes, and the other way round.

    cargo build --release -p diapason-model --example checkpoint_io
    python check_transformers.py TARGET/release/examples/checkpoint_io > figures.txt

For a tied and an untied Llama: diapason writes a folder and its logits; transformers loads the
folder and must give the same logits. transformers then saves that model in its own form, in shards
and in each of three types; diapason loads it and must give the logits of transformers' model.

For every golden of `../model/families`: diapason loads what transformers saved and writes it again;
transformers must load that without a warning about keys, with the same config where it matters, and
give the same logits. The same goes for shards of it in three types, and for the text part of a
multimodal Gemma 3 with a small vision tower.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GenerationConfig,
)

TOLERANCE = 2e-5
FAMILIES = pathlib.Path(__file__).parent.parent / "model" / "families"


def logits_of_diapason(program, action, folder, *more):
    subprocess.run([program, action, str(folder), *map(str, more)], check=True)
    found = json.loads((folder / "logits.json").read_text())
    return torch.tensor(found["ids"]), torch.tensor(found["logits"])


def logits_of_transformers(model, ids):
    with torch.no_grad():
        return model(ids[None]).logits[0]


def compare(what, found, expected):
    difference = (found - expected).abs().max().item()
    print(f"{what}: largest difference {difference:.2e} of logits to {expected.abs().max():.1f}")
    assert difference < TOLERANCE * max(1.0, expected.abs().max().item()), what


def load(folder):
    """A model in f32, of which nothing was missing or left over."""
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    assert not any(loading.values()), loading
    return model.eval()


def check_shards(program, name, model, scratch):
    """diapason reads what transformers saves in shards, in each of three types."""
    for dtype in [torch.float32, torch.bfloat16, torch.float16]:
        saved = scratch / str(dtype)
        model.to(dtype).save_pretrained(saved, max_shard_size="5KB")
        assert (saved / "model.safetensors.index.json").exists()
        ids, logits = logits_of_diapason(program, "read", saved)
        expected = logits_of_transformers(load(saved), ids)
        compare(f"{name}, diapason reads shards of {dtype}", logits, expected)


def check_llama(program, kind, scratch):
    written = scratch / "written"
    ids, logits = logits_of_diapason(program, f"write-{kind}", written)
    model = load(written)
    assert AutoModelForCausalLM.from_pretrained(written).dtype == torch.float32
    assert model.config.tie_word_embeddings == (kind == "tied")
    generation = GenerationConfig.from_pretrained(written)
    assert (generation.bos_token_id, generation.eos_token_id) == (1, [2, 3])
    compare(f"{kind}, transformers reads", logits_of_transformers(model, ids), logits)
    check_shards(program, kind, model, scratch)


def check_family(program, golden, scratch):
    """What diapason writes of a golden is the same model to transformers."""
    name, copied = golden.name, scratch / "copied"
    ids, logits = logits_of_diapason(program, "copy", copied, golden)
    theirs, ours = load(golden), load(copied)
    compare(f"{name}, diapason reads", logits, logits_of_transformers(theirs, ids))
    compare(f"{name}, transformers reads", logits_of_transformers(ours, ids), logits)
    for key in ["rope_parameters", "layer_types", "sliding_window", "head_dim", "eos_token_id"]:
        found, expected = (getattr(m.config, key, None) for m in (ours, theirs))
        assert found == expected, f"{name}: {key} is {found}, not {expected}"
    check_shards(program, name, theirs, scratch)


def check_multimodal(program, scratch):
    """The text part of a multimodal model, which transformers itself runs without an image."""
    text = json.loads((FAMILIES / "gemma3" / "config.json").read_text())
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    torch.manual_seed(3)
    model = Gemma3ForConditionalGeneration._from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    saved = scratch / "multimodal"
    model.eval().save_pretrained(saved, max_shard_size="5KB")
    names = json.loads((saved / "model.safetensors.index.json").read_text())["weight_map"]
    prefixes = sorted({".".join(name.split(".")[:2]) for name in names})
    copied = scratch / "text"
    ids, logits = logits_of_diapason(program, "copy", copied, saved)
    compare(f"multimodal gemma3 {prefixes}, diapason reads", logits, logits_of_transformers(model, ids))
    compare("its text part, transformers reads", logits_of_transformers(load(copied), ids), logits)


def main(program):
    torch.set_num_threads(1)
    checks = [(check_llama, kind) for kind in ["tied", "untied"]]
    checks += [(check_family, golden) for golden in sorted(FAMILIES.iterdir()) if golden.is_dir()]
    checks += [(check_multimodal,)]
    for check, *what in checks:
        with tempfile.TemporaryDirectory() as scratch:
            check(program, *what, pathlib.Path(scratch))


if __name__ == "__main__":
    main(sys.argv[1])
