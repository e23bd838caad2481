#!/usr/bin/env python
"""Seconds per training step of PyTorch with transformers' LlamaForCausalLM on the CPU.

The counterpart of `diapason bench train`: run the two in turn on a quiet machine and compare
within one session, because shared machines are noisy. Prints one JSON object on stdout.

    python benches/peers/train_torch.py --shape quickstart
    python benches/peers/train_torch.py --shape 135m --bf16 --tuned

As shipped: f32, `torch.optim.AdamW` with its defaults, the C library's allocator. `--bf16` runs
under autocast with f32 weights, as Trainer and TRL do with `bf16=True`; `--bf16 weights` keeps the
weights themselves and both moments in bf16, which is faster and less exact. `--tuned` adds fused
AdamW and an allocator that keeps freed pages: jemalloc without decay where it is installed, else
glibc told never to give memory back.

A step is forward, backward, clipping and update. Without `--sequences`, on random tokens of full
rows, loss on all of them. With a file that `diapason bench train --write-sequences` wrote, on its
sequences: `--batching padded` (the default) is a batch as transformers' collators make it,
`--batching dense` lays them end to end in rows without padding and lets attention cross from one
to the next, which is wrong and the fastest that PyTorch can be. transformers computes the logits of
all positions, whichever learn.
"""

import argparse
import ctypes.util
import glob
import json
import os
import resource
import statistics
import sys
import time

SHAPES = {
    # width, layers, heads, key/value heads, MLP width, vocabulary, sequences a step, their tokens.
    "quickstart": (128, 2, 4, 4, 384, 1400, 2, 384),
    "135m": (576, 30, 9, 3, 1536, 49152, 4, 512),
}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="quickstart")
    parser.add_argument("--bf16", nargs="?", const="autocast", choices=["autocast", "weights"])
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sequences", help="file of `diapason bench train --write-sequences`")
    parser.add_argument("--batching", choices=["padded", "dense"], default="padded")
    parser.add_argument("--warmup", type=int, default=2, help="steps before the clock starts")
    parser.add_argument("--steps", type=int, help="timed steps (default: 20, or 5 for 135m)")
    return parser.parse_args()


def find_jemalloc():
    found = glob.glob("/usr/lib/*/libjemalloc.so*") + glob.glob("/usr/local/lib/libjemalloc.so*")
    return found[0] if found else ctypes.util.find_library("jemalloc")


def tune_allocator():
    """Starts this script again with another allocator, which only the loader can choose."""
    if "DIAPASON_PEER_ALLOCATOR" in os.environ:
        return
    environment = dict(os.environ)
    jemalloc = find_jemalloc()
    if jemalloc:
        environment["LD_PRELOAD"] = jemalloc
        environment["MALLOC_CONF"] = "dirty_decay_ms:-1,muzzy_decay_ms:-1"
        environment["DIAPASON_PEER_ALLOCATOR"] = "jemalloc without decay"
    else:
        limit = 1 << 40
        environment["GLIBC_TUNABLES"] = (
            f"glibc.malloc.mmap_threshold={limit}:glibc.malloc.trim_threshold={limit}"
        )
        environment["DIAPASON_PEER_ALLOCATOR"] = "glibc without trimming"
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def build(torch, shape, bf16):
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, heads, kv_heads, mlp_width, vocabulary, _, tokens = shape
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            intermediate_size=mlp_width,
            vocab_size=vocabulary,
            max_position_embeddings=max(tokens, 2048),
            tie_word_embeddings=True,
            use_cache=False,
        )
    )
    return model.to(torch.bfloat16) if bf16 == "weights" else model


def batch(torch, shape, options):
    """Inputs of a step as transformers takes them, and how many of their tokens are real."""
    *_, vocabulary, count, tokens = shape
    if not options.sequences:
        ids = torch.randint(0, vocabulary, (count, tokens))
        return {"input_ids": ids, "labels": ids}, ids.numel()
    with open(options.sequences, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    ids = [torch.tensor(row["ids"]) for row in rows]
    # -100 bears no loss.
    labels = [torch.where(torch.tensor(row["learn"]), one, -100) for row, one in zip(rows, ids)]
    real = sum(len(one) for one in ids)
    if options.batching == "dense":
        width = real // -(-real // tokens)
        whole = real // width * width
        cut = lambda parts: torch.cat(parts)[:whole].view(-1, width)
        return {"input_ids": cut(ids), "labels": cut(labels)}, whole
    pad = lambda parts, value: torch.nn.utils.rnn.pad_sequence(parts, True, value)
    mask = pad([torch.ones_like(one) for one in ids], 0)
    return {"input_ids": pad(ids, 0), "labels": pad(labels, -100), "attention_mask": mask}, real


def measure(torch, model, inputs, options):
    """Seconds of every timed step, and the last loss in nats."""
    # None lets PyTorch choose, which is what it ships.
    fused = True if options.tuned else None
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    model.train()
    seconds = []
    for step in range(options.warmup + options.steps):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16 == "autocast"):
            loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if step >= options.warmup:
            seconds.append(time.perf_counter() - began)
    return seconds, loss.item()


def main():
    options = arguments()
    options.steps = options.steps or (5 if options.shape == "135m" else 20)
    if options.tuned:
        tune_allocator()
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    shape = SHAPES[options.shape]
    model = build(torch, shape, options.bf16)
    inputs, step_tokens = batch(torch, shape, options)
    seconds, loss = measure(torch, model, inputs, options)
    median = statistics.median(seconds)
    result = {
        "tool": "torch",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "shape": options.shape,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "precision": f"bf16 {options.bf16}" if options.bf16 else "f32",
        "tuned": options.tuned,
        "allocator": os.environ.get("DIAPASON_PEER_ALLOCATOR", "default"),
        "threads": options.threads,
        "batching": options.batching if options.sequences else "random",
        "tokens_per_step": step_tokens,
        "positions_per_step": inputs["input_ids"].numel(),
        "steps": options.steps,
        "seconds_per_step": median,
        "seconds_per_step_fastest": min(seconds),
        "seconds_per_step_slowest": max(seconds),
        "tokens_per_second": step_tokens / median,
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "loss_nats": loss,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
