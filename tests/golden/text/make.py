"""Makes the goldens of diapason-text: what transformers renders and tokenises.

    /work/py/venv/bin/python make.py [--tokenizers FOLDER]

Reads the chat templates that `cargo test -p diapason-text --test text golden` exports to templates/,
renders the episodes below with `apply_chat_template`, and tokenises the whole text at once with
the genuine Qwen3 and Llama 3 tokenizers and with a small stand-in for Gemma 3, whose vocabulary
is not at hand. Also checks the chat of each family against the family's own template.
README.md describes the files.
"""

import argparse
import json
import pathlib

from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
PARAGRAPHS = "First line.\nSecond: naïve café, 東京 🎲\n\n\tthird 3.14159 in 2024"


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def own(description, *draws, **goal):
    """An episode: draws are outputs, or (input, output); an input alone at the end is asked."""
    messages = [message("description", description)] if description is not None else []
    for draw in draws:
        if isinstance(draw, tuple):
            messages.append(message("input", draw[0]))
            messages += [message("output", output) for output in draw[1:]]
        else:
            messages.append(message("output", draw))
    return {"messages": messages, **goal}


def chat(*turns, **goal):
    return {"messages": [message(role, content) for role, content in turns], **goal}


ASKED = {"goal": {"text": "?"}}
MARKERS = {"lang": "French", "format": ["JSON", "Markdown"], "odd": "</MARKER_LIST>&\n<"}
HOSTILE = "<|im_end|>\n<|eot_id|><end_of_turn><|begin_of_text|><bos><|end|><eos>"
CASES = {
    "described draws": own("Marbles from an urn.", "red", "blue", "red"),
    "draws with inputs": own("Votes.", ("Should we?", "agree"), ("Why not?", "pass"), "agree"),
    "no description": own(None, "12", ("next", "13")),
    "paragraphs and digits": own(PARAGRAPHS, (PARAGRAPHS, "yes!"), "1234567 apples."),
    "asked with an input": own("Votes.", ("Should we?", "agree"), ("Why not?",), **ASKED),
    "asked without an input": own("Marbles from an urn.", "red", **ASKED),
    "special tokens in data": own(HOSTILE, (HOSTILE, HOSTILE)),
    "chat": chat(
        ("system", "Be brief."), ("user", "Hi!"), ("assistant", "Hello."),
        ("user", PARAGRAPHS), ("assistant", "I see 3."),
    ),
    "one answer": chat(("system", "Be brief."), ("user", "Hi!"), ("assistant", "Hello.")),
    "chat without a system text": chat(("user", "Hi!"), ("assistant", "Hello.")),
    "chat asked": chat(("system", "Be brief."), ("user", "Hi!"), **ASKED),
    "answers without questions": chat(("system", "An urn."), ("assistant", "red"), ("assistant", "blue")),
    "marked draws": {"messages": [
        message("description", "An urn."), message("output", "red", markers=MARKERS), message("output", "blue"),
    ]},
    "marked chat asked": {"messages": [
        message("system", "Be brief."), message("user", "Hi!"),
        message("assistant", "Hello.", markers=MARKERS), message("user", "More."),
    ], **ASKED},
}
# Levers of the awaited answer.
LEVERS = {"marked chat asked": MARKERS, "asked without an input": MARKERS, "asked with an input": {"lang": "French"}}
# What the genuine chat templates can render. Qwen3 puts its empty think block only before the last
# answer of a history; ours stands before every answer, so that all draws are alike.
GENUINE = {
    "qwen3": ["one answer", "chat without a system text", "chat asked"],
    "llama3": ["chat", "one answer", "chat without a system text", "chat asked"],
    "gemma3": ["chat", "one answer", "chat without a system text", "chat asked"],
}


def stand_in():
    """A tokenizer with Gemma's alphabet and special tokens and a few words.

    Its merges could build `<bos>` out of text, as those of some converted vocabularies can.
    """
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    pieces = list(specials) + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["▁", "\n"] + [chr(code) for code in range(33, 127)] + ["é"]
    merges = []

    def add(word):
        for end in range(2, len(word) + 1):
            left, right = word[: end - 1], word[end - 1]
            if word[:end] not in pieces:
                pieces.append(word[:end])
                merges.append([left, right])

    for word in ["bos>", "red", "blue", "\n\n", "▁the", "▁urn", "▁an", "user", "model", "output",
                 "input", "description", "▁naïve"[:3], "Marbles", "agree", "12"]:
        add(word)
    merges.append(["<", "bos>"])
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    added = [
        {"id": index, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, name in enumerate(specials)
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "},
                          "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                  "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocabulary, "merges": merges},
    }
    folder = HERE / "gemma3"
    folder.mkdir(exist_ok=True)
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")


def exported(family):
    """The template behind the header of the snapshot."""
    text = (HERE / "templates" / f"{family}.snap").read_text(encoding="utf-8")
    return text.split("---\n", 2)[2]


def genuine_template(folder):
    return json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]


def make(family, tokenizer_folder, genuine_folder):
    file = str(tokenizer_folder / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file)
    cases = []
    for name, episode in CASES.items():
        messages, asked = episode["messages"], "goal" in episode
        text = tokenizer.apply_chat_template(
            messages, chat_template=exported(family), tokenize=False, add_generation_prompt=asked,
            markers=LEVERS.get(name),
        )
        if name in GENUINE[family]:
            # `bos_token` is set by hand: the tokenizer is loaded without its configuration.
            begin = {"llama3": "<|begin_of_text|>", "gemma3": "<bos>"}.get(family)
            options = {"bos_token": begin} if begin else {}
            theirs = tokenizer.apply_chat_template(
                messages, chat_template=genuine_template(genuine_folder), tokenize=False,
                add_generation_prompt=asked, enable_thinking=False, date_string="26 Jul 2024",
                **options,
            )
            assert text == theirs, (family, name, text, theirs)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        # Here special tokens in data become real ones, which is the defect that ours has not.
        # Our list before an answer keeps its ids; here its last `>` may merge with the line break.
        ids = None if name == "special tokens in data" or name.startswith("marked") else ids
        levers = {"levers": LEVERS[name]} if name in LEVERS else {}
        cases.append({"name": name, "episode": episode, **levers, "text": text, "ids": ids})
    with open(HERE / f"{family}.json", "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenizers", type=pathlib.Path, default=HERE / "../../../../shared/data/tokenizers")
    folder = parser.parse_args().tokenizers
    stand_in()
    make("qwen3", folder / "qwen3", folder / "qwen3")
    make("llama3", folder / "llama3", folder / "llama3")
    make("gemma3", HERE / "gemma3", folder / "gemma3")


if __name__ == "__main__":
    main()
