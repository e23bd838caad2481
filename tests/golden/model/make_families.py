"""Makes the goldens of every family: folders as transformers saves them, with logits and gradients.

    python make_families.py

`families/NAME/` holds `config.json` and `model.safetensors` (bf16, as most checkpoints are) exactly
as `save_pretrained` of transformers 5 writes them, and `expected.safetensors` with what the model
computes in float32 on one CPU thread. README.md describes the files. The weights are random: every
tensor is drawn large enough that leaving it out shows.
"""

import math
import pathlib
import shutil

import numpy
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
SEED = 20240818
LENGTHS = [11, 7, 16]
VOCABULARY = 29
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

# Odd on purpose: heads wider or narrower than their share of the width, grouped heads, windows
# shorter than the sequences, tied and untied. The keys are those of transformers 4.
FAMILIES = {
    "llama3": ("llama", {"tie_word_embeddings": False, "rope_theta": 50.0, "rope_scaling": LLAMA3}),
    "smol": (
        "llama",
        {
            "hidden_size": 18,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": None,
            "tie_word_embeddings": True,
            "rope_scaling": {"rope_type": "linear", "factor": 2.5},
        },
    ),
    "qwen2": ("qwen2", {"head_dim": 4, "tie_word_embeddings": True, "rope_theta": 100.0}),
    "qwen2_window": (
        "qwen2",
        {
            "head_dim": 4,
            "tie_word_embeddings": False,
            "num_hidden_layers": 3,
            "use_sliding_window": True,
            "sliding_window": 5,
            "max_window_layers": 1,
        },
    ),
    "qwen3": ("qwen3", {"tie_word_embeddings": False, "rope_theta": 200.0}),
    "gemma3": (
        "gemma3_text",
        {
            "tie_word_embeddings": True,
            "num_hidden_layers": 3,
            "sliding_window": 5,
            "sliding_window_pattern": 3,
            "query_pre_attn_scalar": 10,
            "rope_theta": 500.0,
            "rope_local_base_freq": 20.0,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        },
    ),
}


def pack():
    """Token ids, segment starts and loss weights; weights are 0, 1 and one 0.5."""
    generator = torch.Generator().manual_seed(SEED)
    starts = numpy.cumsum([0, *LENGTHS]).tolist()
    ids = torch.randint(0, VOCABULARY, (starts[-1],), generator=generator)
    learn = (torch.rand(starts[-1], generator=generator) < 0.6).float()
    learn[starts[1] + 3] = 0.5
    learn[starts[:-1]] = 0.0
    return ids, starts, learn


def random_model(model_type, keys):
    """Random weights that bf16 holds exactly."""
    keys = {key: value for key, value in {**COMMON, **keys}.items() if value is not None}
    config = AutoConfig.for_model(model_type, **keys)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(SEED + 1)
    middle = 0.0 if model_type.startswith("gemma3") else 1.0
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith(".bias"):
                noise = 0.5 * noise
            elif parameter.dim() == 1:
                noise = middle + 0.3 * noise
            elif "embed_tokens" in name:
                noise = 0.5 * noise
            else:
                noise = noise / math.sqrt(parameter.shape[1])
            parameter.copy_(noise.bfloat16().float())
    return model.eval()


def expected(model):
    """Logits, the weighted sum of losses, and the gradient of the weighted mean."""
    ids, starts, learn = pack()
    segments = list(zip(starts, starts[1:]))
    logits = torch.cat(
        [model(input_ids=ids[None, a:b], use_cache=False).logits[0] for a, b in segments]
    )
    total = logits.new_zeros(())
    for a, b in segments:
        nats = torch.nn.functional.cross_entropy(logits[a : b - 1], ids[a + 1 : b], reduction="none")
        total = total + (nats * learn[a + 1 : b]).sum()
    names, parameters = zip(*model.named_parameters())
    gradients = torch.autograd.grad(total / learn.sum(), parameters)
    return {
        "ids": ids.numpy(),
        "starts": numpy.array(starts, numpy.int64),
        "learn": learn.numpy(),
        "logits": logits.detach().float().numpy(),
        "loss_sum": total.detach().float().numpy().reshape(1),
        **{f"grad.{name}": gradient.numpy() for name, gradient in zip(names, gradients)},
    }


def main():
    torch.set_num_threads(1)
    for name, (model_type, keys) in FAMILIES.items():
        folder = HERE / "families" / name
        shutil.rmtree(folder, ignore_errors=True)
        model = random_model(model_type, keys)
        tensors = expected(model)
        model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        contiguous = {key: numpy.ascontiguousarray(value) for key, value in tensors.items()}
        save_file(contiguous, folder / "expected.safetensors")
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        largest = numpy.abs(tensors["logits"]).max()
        print(f"{name}: loss {tensors['loss_sum'][0]:.4f}, logits up to {largest:.2f}, {sizes}")


if __name__ == "__main__":
    main()
