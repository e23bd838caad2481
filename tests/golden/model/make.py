"""Makes the goldens of diapason-model: logits, losses, gradients and AdamW steps.

    python make.py [--stories FOLDER]

Everything is computed with Hugging Face transformers in float32 on one CPU thread. A second,
plain implementation in float64 (`plain_logits`, written from the formulas and sharing nothing
with transformers) says how far the stored figures are from the truth. README.md describes the
files.
"""

import argparse
import json
import math
import pathlib

import numpy
import torch
import transformers
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent
SEED = 20240817
LENGTHS = [11, 7, 16]
STEPS = 10
ADAMW = {"lr": 1e-2, "betas": [0.9, 0.98], "eps": 1e-8, "weight_decay": 0.1}
CLIP_GLOBAL_NORM = 1.0


def tiny_config(tied):
    """A Llama that is small enough to read and has every feature: grouped queries, SwiGLU."""
    return LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        rope_theta=10000.0,
        rms_norm_eps=1e-5,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
    )


def tiny_model(tied):
    """Random weights; norm weights differ from one, so that a forgotten one shows."""
    config = tiny_config(tied)
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(SEED + tied)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(1.0 + 0.2 * noise)
            else:
                parameter.copy_(noise / math.sqrt(parameter.shape[1]))
    return config, model.eval()


def tiny_pack():
    """Token ids, segment starts and loss weights; weights are 0, 1 and one 0.5."""
    generator = torch.Generator().manual_seed(SEED + 2)
    starts = numpy.cumsum([0, *LENGTHS]).tolist()
    ids = torch.randint(0, 61, (starts[-1],), generator=generator)
    learn = (torch.rand(starts[-1], generator=generator) < 0.6).float()
    learn[starts[1] + 3] = 0.5
    learn[starts[:-1]] = 0.0
    return ids, starts, learn


def packed_logits(logits_of, ids, starts):
    """Runs every segment alone, from position 0: the meaning of a pack. [N, V]"""
    return torch.cat([logits_of(ids[a:b]) for a, b in zip(starts, starts[1:])])


def loss_sum(logits, ids, starts, learn):
    """Sum over targets of weight times nats; token i is predicted by the logits of token i - 1."""
    total = logits.new_zeros(())
    for a, b in zip(starts, starts[1:]):
        nats = torch.nn.functional.cross_entropy(
            logits[a : b - 1], ids[a + 1 : b], reduction="none"
        )
        total = total + (nats * learn[a + 1 : b].to(nats.dtype)).sum()
    return total


def plain_logits(config, weights, ids):
    """The forward pass from its formulas, in the precision of `weights`. ids [T] -> [T, V]"""
    heads, groups, head = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    length, dtype = len(ids), weights["model.norm.weight"].dtype

    def norm(x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + config.rms_norm_eps) * weights[name]

    frequency = 10000.0 ** (-torch.arange(0, head, 2, dtype=dtype) / head)
    angle = torch.arange(length, dtype=dtype)[:, None] * frequency
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]

    def rotate(x):
        first, second = x[..., : head // 2], x[..., head // 2 :]
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)

    hidden = weights["model.embed_tokens.weight"][ids]
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    for layer in range(config.num_hidden_layers):
        at = f"model.layers.{layer}."
        linear = lambda x, name: x @ weights[f"{at}{name}.weight"].T  # noqa: E731
        x = norm(hidden, at + "input_layernorm.weight")
        query = rotate(linear(x, "self_attn.q_proj").view(length, heads, head))
        key = rotate(linear(x, "self_attn.k_proj").view(length, groups, head))
        value = linear(x, "self_attn.v_proj").view(length, groups, head)
        key, value = (t.repeat_interleave(heads // groups, 1) for t in (key, value))
        scores = torch.einsum("qhd,khd->hqk", query, key) / math.sqrt(head)
        attention = scores.masked_fill(future, -math.inf).softmax(-1)
        mixed = torch.einsum("hqk,khd->qhd", attention, value).reshape(length, heads * head)
        hidden = hidden + linear(mixed, "self_attn.o_proj")
        x = norm(hidden, at + "post_attention_layernorm.weight")
        gate, up = linear(x, "mlp.gate_proj"), linear(x, "mlp.up_proj")
        hidden = hidden + linear(gate * torch.sigmoid(gate) * up, "mlp.down_proj")
    tied = weights["model.embed_tokens.weight"]
    return norm(hidden, "model.norm.weight") @ weights.get("lm_head.weight", tied).T


def train(weights, logits_of, pack):
    """The losses (weighted means) and gradient norms before each of ten AdamW steps."""
    ids, starts, learn = pack
    matrices = [w for w in weights.values() if w.dim() > 1]
    vectors = [w for w in weights.values() if w.dim() == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, foreach=False, **ADAMW)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = loss_sum(packed_logits(logits_of, ids, starts), ids, starts, learn) / learn.sum()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(matrices + vectors, CLIP_GLOBAL_NORM)
        losses.append(loss.item())
        norms.append(norm.item())
        optimiser.step()
    return losses, norms


def largest(a, b):
    """Largest absolute difference."""
    return (a.detach().double() - b.detach().double()).abs().max().item()


def make_tiny(tied):
    """Writes tiny_tied or tiny_untied."""
    name = "tiny_tied" if tied else "tiny_untied"
    config, model = tiny_model(tied)
    pack = ids, starts, learn = tiny_pack()
    weights = dict(model.named_parameters())
    initial = {key: weight.detach().clone() for key, weight in weights.items()}
    exact = {key: w.double().requires_grad_() for key, w in initial.items()}

    def hugging_face(segment):
        return model(input_ids=segment[None], use_cache=False).logits[0]

    def plain(segment):
        return plain_logits(config, exact, segment)

    results = {}
    for which, logits_of, parameters in [("f32", hugging_face, weights), ("f64", plain, exact)]:
        logits = packed_logits(logits_of, ids, starts)
        total = loss_sum(logits, ids, starts, learn)
        gradients = torch.autograd.grad(total / learn.sum(), list(parameters.values()))
        results[which] = (logits, total, dict(zip(parameters, gradients)))
    (logits, total, gradients), (logits64, total64, gradients64) = results["f32"], results["f64"]

    losses, norms = train(weights, hugging_face, pack)
    losses64, norms64 = train(exact, plain, pack)
    tensors = {
        "ids": ids.numpy(),
        "starts": numpy.array(starts, numpy.int64),
        "learn": learn.numpy(),
        "logits": logits.detach().numpy(),
        "loss_sum": total.detach().numpy().reshape(1),
        **{f"weight.{key}": value.numpy() for key, value in initial.items()},
        **{f"grad.{key}": value.numpy() for key, value in gradients.items()},
    }
    save_file({key: numpy.ascontiguousarray(t) for key, t in tensors.items()}, HERE / f"{name}.safetensors")
    error = {
        "logits": largest(logits, logits64),
        "loss_sum": largest(total, total64),
        "grad": max(largest(gradients[key], gradients64[key]) for key in gradients),
        "losses": max(abs(a - b) for a, b in zip(losses, losses64)),
        "grad_norms": max(abs(a - b) for a, b in zip(norms, norms64)),
    }
    training = {
        **ADAMW,
        "weight_decay_on": "tensors of more than one dimension",
        "clip_global_norm": CLIP_GLOBAL_NORM,
        "losses": losses,
        "losses_float64": losses64,
        "grad_norms": norms,
        "grad_norms_float64": norms64,
    }
    write_json(name, {"config": config_dict(config), "training": training, "largest_error_against_float64": error})
    print(name, error, losses, norms, sep="\n  ")


def config_dict(config):
    """Every key that transformers can write to config.json, in the form of its own version 5."""
    return {**json.loads(config.to_json_string(use_diff=False)), "architectures": ["LlamaForCausalLM"]}


def write_json(name, value):
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    text = json.dumps({**value, "versions": versions}, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n")


def half_split(matrix, head):
    """Rows of a projection from neighbouring rotary pairs (2i, 2i+1) to pairs (i, i + head/2)."""
    rows, width = matrix.shape
    return matrix.reshape(rows // head, head // 2, 2, width).transpose(0, 2, 1, 3).reshape(rows, width)


def stories_model(path):
    """Converts a llama2.c "version 0" checkpoint; FORMAT.txt beside it gives the layout."""
    data = path.read_bytes()
    dim, hidden, layers, heads, groups, vocabulary, context = numpy.frombuffer(data, "<i4", 7).tolist()
    floats, at, head = numpy.frombuffer(data, "<f4", offset=28), 0, dim // heads

    def take(*shape):
        nonlocal at
        begin, at = at, at + math.prod(shape)
        return floats[begin:at].reshape(shape)

    stacked = {"model.embed_tokens.weight": take(vocabulary, dim)}
    kinds = [
        ("input_layernorm", (dim,)),
        ("self_attn.q_proj", (dim, dim)),
        ("self_attn.k_proj", (groups * head, dim)),
        ("self_attn.v_proj", (groups * head, dim)),
        ("self_attn.o_proj", (dim, dim)),
        ("post_attention_layernorm", (dim,)),
        ("mlp.gate_proj", (hidden, dim)),
        ("mlp.down_proj", (dim, hidden)),
        ("mlp.up_proj", (hidden, dim)),
    ]
    for kind, shape in kinds:
        for layer, weight in enumerate(take(layers, *shape)):
            rotary = kind in ("self_attn.q_proj", "self_attn.k_proj")
            weight = half_split(weight, head) if rotary else weight
            stacked[f"model.layers.{layer}.{kind}.weight"] = weight
    stacked["model.norm.weight"] = take(dim)
    assert at + context * head == len(floats), "the legacy rotary tables are what is left"
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        head_dim=head,
        max_position_embeddings=context,
        rope_theta=10000.0,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    weights = {key: torch.tensor(value) for key, value in stacked.items()}
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    model.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]})
    return config, model.eval(), weights


def make_stories(folder):
    """Writes stories260k_logits: our numbers only, no weights."""
    config, model, weights = stories_model(folder / "stories260K.bin")
    reference = json.loads((folder / "greedy_reference.json").read_text())
    prompt, greedy = reference["prompt_ids"], reference["ids"]
    ids = torch.tensor(prompt + greedy)
    with torch.no_grad():
        logits = model(input_ids=ids[None], use_cache=False).logits[0]
    # Teacher forcing on the reference: every greedy id must be the argmax where it was chosen.
    chosen = logits[len(prompt) - 1 : -1]
    assert chosen.argmax(-1).tolist() == greedy, "greedy ids differ from the reference"
    shift = numpy.abs(chosen.max(-1).values.numpy() - reference["max_logits"]).max()
    assert shift < 1e-3, f"largest logits differ from the reference by {shift}"
    kept = 33
    exact = plain_logits(config, {key: weight.double() for key, weight in weights.items()}, ids[:kept])
    logits = logits[:kept].contiguous()
    save_file({"ids": ids[:kept].numpy(), "logits": logits.numpy()}, HERE / "stories260k_logits.safetensors")
    error = {"logits": largest(logits, exact)}
    write_json("stories260k_logits", {"config": config_dict(config), "largest_error_against_float64": error})
    print("stories260k", error, f"max_logits within {shift:.1e} of the reference", sep="\n  ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=pathlib.Path, help="folder with stories260K.bin and greedy_reference.json")
    stories = parser.parse_args().stories
    torch.set_num_threads(1)
    make_tiny(True)
    make_tiny(False)
    if stories is not None:
        make_stories(stories)


if __name__ == "__main__":
    main()
