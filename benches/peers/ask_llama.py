#!/usr/bin/env python
"""Seconds that llama.cpp takes for what `diapason bench sample` was asked, through its own C interface.

Reads the folder that `diapason bench sample --write DIR` left, and writes its weights beside them as
`model-f32.gguf`, or with `--bf16` its matrices in that precision as `model-bf16.gguf` (Llama-shaped
models only, no tokenizer).

    diapason bench sample --shape 135m --write /tmp/sample
    python benches/peers/ask_llama.py /tmp/sample

The prompt is read once and its cache shared by all draws (`llama_memory_seq_cp`); then every draw has
one token in every batch, drawn by llama.cpp's own sampler from the whole distribution. The cache is
in f32, as ours is, unless `--cache f16`; `--layout` is either one cache for all draws, in which each
looks at the tokens of all others behind a mask, or a copy of the prompt's cache for every draw. Before
that, the log-probabilities of the prompt's own tokens are computed here too, and the largest
difference to those in the file is printed. Prints one JSON object.
"""

import argparse
import ctypes
import json
import os
import pathlib
import resource
import statistics
import time

TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bf16", action="store_true", help="matrices in bf16")
    parser.add_argument("--cache", choices=["f32", "f16"], default="f32")
    parser.add_argument("--layout", choices=["unified", "copies"], default="unified")
    parser.add_argument("--draws", type=int, help="default: as many as the file asks for")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=1, help="after one that is not timed")
    return parser.parse_args()


def interleave(weights, heads):
    """Rows of a head from `first half, second half` to `pairs`, which is how llama.cpp rotates."""
    rows, columns = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def convert(folder, target, bf16):
    """Writes the checkpoint of a folder as GGUF, in f32 or with matrices in bf16."""
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads = config["num_attention_heads"]
    kv_heads = config["num_key_value_heads"]
    rope = config.get("rope_parameters") or config
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    kinds = gguf.LlamaFileType
    writer.add_file_type(kinds.MOSTLY_BF16 if bf16 else kinds.ALL_F32)
    fixed = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
    for name, weights in load_file(folder / "model.safetensors").items():
        parts = name.removeprefix("model.").removesuffix(".weight")
        if parts.startswith("layers."):
            _, layer, part = parts.split(".", 2)
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                weights = interleave(weights, heads if "q_proj" in part else kv_heads)
            name = f"blk.{layer}.{TENSORS[part]}.weight"
        else:
            name = f"{fixed[parts]}.weight"
        weights = weights.astype("float32")
        if bf16 and weights.ndim == 2:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Llama:
    """A loaded model with a context for one prompt and its draws."""

    def __init__(self, path, options, request):
        import llama_cpp

        self.api = llama_cpp
        llama_cpp.llama_backend_init()
        silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
        self.silent = silent
        given = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), given)
        prompt, draws = len(request["prompt"]), request["draws"]
        given = llama_cpp.llama_context_default_params()
        unified, new = options.layout == "unified", request["new_tokens"]
        tokens = prompt + draws * new if unified else draws * (prompt + new + 64)
        given.n_ctx = tokens + 256
        given.n_batch = 2048
        given.n_seq_max = draws
        given.kv_unified = unified
        given.n_threads = given.n_threads_batch = options.threads
        if options.cache == "f32":
            given.type_k = given.type_v = llama_cpp.GGML_TYPE_F32
        self.context = llama_cpp.llama_init_from_model(self.model, given)
        if not self.model or not self.context:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(given.n_batch, 0, 1)

    def decode(self, tokens):
        """Runs tokens of (id, position, sequence, whether logits are wanted)."""
        for place, (token, position, sequence, wanted) in enumerate(tokens):
            self.batch.token[place] = token
            self.batch.pos[place] = position
            self.batch.n_seq_id[place] = 1
            self.batch.seq_id[place][0] = sequence
            self.batch.logits[place] = wanted
        self.batch.n_tokens = len(tokens)
        code = self.api.llama_decode(self.context, self.batch)
        if code:
            raise SystemExit(f"llama_decode answered {code}")

    def forget(self):
        self.api.llama_memory_clear(self.memory, True)

    def logprobs(self, ids):
        """Log-probabilities of the tokens of a text but the first."""
        import numpy

        self.forget()
        self.decode([(id, place, 0, True) for place, id in enumerate(ids[:-1])])
        found = []
        for place, id in enumerate(ids[1:]):
            row = self.api.llama_get_logits_ith(self.context, place)
            row = numpy.ctypeslib.as_array(row, (self.vocabulary,)).astype("float64")
            top = row.max()
            found.append(row[id] - top - numpy.log(numpy.exp(row - top).sum()))
        return found

    def draw(self, request):
        self.forget()
        sampler = self.api.llama_sampler_init_dist(1)
        prompt, draws = request["prompt"], request["draws"]
        last = len(prompt) - 1
        self.decode([(id, place, 0, place == last) for place, id in enumerate(prompt)])
        for sequence in range(1, draws):
            self.api.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        choose = lambda row: self.api.llama_sampler_sample(sampler, self.context, row)
        drawn = [[choose(last)] for _ in range(draws)]
        for step in range(1, request["new_tokens"]):
            position = last + step
            self.decode([(ids[-1], position, draw, True) for draw, ids in enumerate(drawn)])
            for row, ids in enumerate(drawn):
                ids.append(choose(row))
        self.api.llama_sampler_free(sampler)
        return drawn


def main():
    options = arguments()
    import llama_cpp

    line = (options.folder / "request.jsonl").read_text(encoding="utf-8").splitlines()[0]
    request = json.loads(line)
    request["draws"] = options.draws or request["draws"]
    precision = "bf16" if options.bf16 else "f32"
    path = options.folder / f"model-{precision}.gguf"
    if not path.exists():
        convert(options.folder, path, options.bf16)
    llama = Llama(path, options, request)
    found = llama.logprobs(request["prompt"])
    difference = max(abs(a - b) for a, b in zip(found, request["prompt_nats"]))
    seconds = []
    for repetition in range(options.repetitions + 1):
        began = time.perf_counter()
        llama.draw(request if repetition else {**request, "new_tokens": 2})
        if repetition:
            seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    result = {
        "tool": "llama.cpp",
        "what": "sample",
        "version": llama_cpp.__version__,
        "precision": precision,
        "cache": options.cache,
        "layout": options.layout,
        "threads": options.threads,
        "draws": request["draws"],
        "seconds": median,
        "new_tokens_per_second": request["draws"] * request["new_tokens"] / median,
        "largest_difference_nats": difference,
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
