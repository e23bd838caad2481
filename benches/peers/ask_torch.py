#!/usr/bin/env python
"""Seconds that transformers takes for what `diapason bench score` and `bench sample` were asked.

Both read the folder that `--write DIR` of those verbs left: the weights, and the requests.

    diapason bench score --shape 135m --prompts 50 --write /tmp/score
    python benches/peers/ask_torch.py score /tmp/score
    diapason bench sample --shape 135m --write /tmp/sample
    python benches/peers/ask_torch.py sample /tmp/sample

`score` does what evaluation harnesses do: one row a pair of prompt and option, padded batches of
`--batch`, one forward each, in order of length so that padding is least. It also prints the largest
difference between its log-probabilities and those in the file. `sample` is `generate` with
`num_return_sequences`, its cache on, the end token forbidden so that every draw has its full length.
Prints one JSON object on stdout.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import time


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["score", "sample"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bf16", action="store_true", help="weights in bf16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--prompts", type=int, help="score only the first of them")
    parser.add_argument("--draws", type=int, help="default: as many as the file asks for")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=1, help="after one that is not timed")
    return parser.parse_args()


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def score(torch, model, requests, size):
    """Log-probabilities of all options of all prompts, in order."""
    pairs = [(row["prompt"], option) for row in requests for option in row["options"]]
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    found = [0.0] * len(pairs)
    for first in range(0, len(order), size):
        batch = order[first : first + size]
        texts = [torch.tensor(pairs[i][0] + pairs[i][1]) for i in batch]
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(t) for t in texts], True)
        logits = model(input_ids=ids, attention_mask=mask).logits.float()
        nats = torch.log_softmax(logits[:, :-1], -1)
        nats = nats.gather(-1, ids[:, 1:, None])[..., 0]
        for row, i in enumerate(batch):
            prompt, option = pairs[i]
            found[i] = nats[row, len(prompt) - 1 : len(prompt) + len(option) - 1].sum().item()
    return found


def sample(torch, model, request):
    prompt = torch.tensor([request["prompt"]])
    out = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=True,
        top_k=0,
        num_return_sequences=request["draws"],
        max_new_tokens=request["new_tokens"],
        eos_token_id=None,
        pad_token_id=0,
    )
    assert out.shape == (request["draws"], len(request["prompt"]) + request["new_tokens"])


def main():
    options = arguments()
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    dtype = torch.bfloat16 if options.bf16 else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder, dtype=dtype).eval()
    result = {"tool": "torch", "what": options.what, "precision": str(dtype)}
    result["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__}
    seconds = []
    for repetition in range(options.repetitions + 1):
        began = time.perf_counter()
        if options.what == "score":
            requests = rows(options.folder / "requests.jsonl")[: options.prompts]
            # The first time only faults pages in.
            some = requests if repetition else requests[:4]
            found = score(torch, model, some, options.batch)
        else:
            request = rows(options.folder / "request.jsonl")[0]
            request["draws"] = options.draws or request["draws"]
            first = {**request, "draws": 4, "new_tokens": 4}
            sample(torch, model, request if repetition else first)
        if repetition:
            seconds.append(time.perf_counter() - began)
    result["seconds"] = statistics.median(seconds)
    if options.what == "score":
        expected = [nats for row in requests for nats in row["logprobs_nats"]]
        result["prompts"] = len(requests)
        result["prompts_per_second"] = len(requests) / result["seconds"]
        result["largest_difference_nats"] = max(abs(a - b) for a, b in zip(found, expected))
    else:
        result["draws"] = request["draws"]
        result["new_tokens_per_second"] = (
            request["draws"] * request["new_tokens"] / result["seconds"]
        )
    result["peak_memory_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(result))


if __name__ == "__main__":
    main()
