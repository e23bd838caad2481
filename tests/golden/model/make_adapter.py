"""Golden of a low-rank adapter: a tiny Llama, an adapter that PEFT made, and PEFT's logits.

Run from the root of the repository with torch, transformers and peft installed:

    python tests/golden/model/make_adapter.py

and, to hold an adapter that diapason wrote to PEFT's logits (see the test `adapters`):

    python tests/golden/model/make_adapter.py --check FOLDER
"""

import argparse
import json
import pathlib

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent / "adapter"
IDS = [[3, 17, 4, 29, 11, 0, 8, 8, 21, 5]]


def base() -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=31,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def make() -> None:
    model = base()
    model.save_pretrained(HERE / "base")
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(
        r=3,
        lora_alpha=5,
        use_rslora=True,
        target_modules=modules + ["embed_tokens", "lm_head"],
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config).eval()
    torch.manual_seed(6)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3)
    adapted.save_pretrained(HERE / "peft", save_embedding_layers=False)
    with torch.no_grad():
        logits = adapted(torch.tensor(IDS)).logits[0]
        with adapted.disable_adapter():
            plain = adapted(torch.tensor(IDS)).logits[0]
    ids = torch.tensor(IDS[0])
    save_file({"ids": ids, "logits": logits, "base_logits": plain}, HERE / "logits.safetensors")
    for readme in HERE.rglob("README.md"):
        readme.unlink()


def check(folder: pathlib.Path) -> None:
    """Logits of an adapter that diapason wrote, by PEFT, against those that diapason computed."""
    model = LlamaForCausalLM.from_pretrained(HERE / "base").eval()
    adapted = PeftModel.from_pretrained(model, folder / "adapter").eval()
    expected = load_file(folder / "logits.safetensors")
    with torch.no_grad():
        logits = adapted(expected["ids"][None]).logits[0]
    difference = (logits - expected["logits"]).abs().max().item()
    print(json.dumps({"largest_logit": logits.abs().max().item(), "difference": difference}))
    assert difference < 1e-4, difference


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", type=pathlib.Path)
    given = parser.parse_args()
    if given.check:
        check(given.check)
    else:
        make()
