#!/usr/bin/env python
"""Seconds per optimiser step of TRL's SFTTrainer, as shipped, on the sequences of `bench train`.

    diapason bench train --shape 135m --write-sequences /tmp/sequences.jsonl --json
    python benches/peers/train_trl.py --sequences /tmp/sequences.jsonl

The model is the 135M shape of `train_torch.py` with random weights. Nothing of `SFTConfig` is
changed but what a measurement needs (no logging, no checkpoints, few steps) and `use_cpu`, without
which it refuses bf16 wherever there is no GPU: so bf16 autocast and
gradient checkpointing are on, and a batch on a device holds 8 sequences; gradients are accumulated
until a step has seen all sequences once. `--f32` turns bf16 off, for processors without it. Prints
one JSON object.
"""

import argparse
import json
import math
import os
import resource
import statistics
import tempfile
import time

from train_torch import SHAPES, build


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", required=True)
    parser.add_argument("--shape", choices=SHAPES, default="135m")
    parser.add_argument("--f32", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--warmup", type=int, default=1, help="steps before the clock starts")
    parser.add_argument("--steps", type=int, default=3, help="timed steps")
    return parser.parse_args()


def blank_tokenizer():
    """Never used: the sequences are ids already, but the trainer wants to know how to pad."""
    import tokenizers
    import transformers

    words = tokenizers.models.WordLevel({"[PAD]": 0, "[END]": 1}, unk_token="[PAD]")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), pad_token="[PAD]", eos_token="[END]"
    )


def main():
    options = arguments()
    import datasets
    import torch
    import transformers
    import trl

    torch.set_num_threads(options.threads)
    with open(options.sequences, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    label = lambda row: [id if on else -100 for id, on in zip(row["ids"], row["learn"])]
    data = [{"input_ids": row["ids"], "labels": label(row)} for row in rows]

    class Clock(transformers.TrainerCallback):
        marks = []

        def on_step_end(self, *_, **__):
            self.marks.append(time.perf_counter())

    steps = options.warmup + options.steps
    with tempfile.TemporaryDirectory() as folder:
        given = {"bf16": False} if options.f32 else {}
        config = trl.SFTConfig(
            output_dir=folder,
            use_cpu=True,
            max_steps=steps,
            gradient_accumulation_steps=math.ceil(len(rows) / 8),
            save_strategy="no",
            report_to="none",
            logging_strategy="no",
            disable_tqdm=True,
            **given,
        )
        trainer = trl.SFTTrainer(
            model=build(torch, SHAPES[options.shape], None),
            args=config,
            train_dataset=datasets.Dataset.from_list(data),
            processing_class=blank_tokenizer(),
            callbacks=[Clock()],
        )
        trainer.train()
    marks = Clock.marks[options.warmup - 1 :]
    seconds = [after - before for before, after in zip(marks, marks[1:])]
    median = statistics.median(seconds)
    tokens = sum(len(row["ids"]) for row in rows)
    result = {
        "tool": "trl",
        "versions": {"trl": trl.__version__, "torch": torch.__version__},
        "shape": options.shape,
        "precision": "f32" if options.f32 else "bf16 autocast",
        "gradient_checkpointing": config.gradient_checkpointing,
        "batch": config.per_device_train_batch_size,
        "threads": options.threads,
        "tokens_per_step": tokens,
        "steps": len(seconds),
        "seconds_per_step": median,
        "tokens_per_second": tokens / median,
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
