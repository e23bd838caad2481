"""How evenly a model of `diapason quickstart` copies the words that it was told.

    python benches/quickstart/told_words.py OUT/base OUT/models/spectrum

needs PyTorch and transformers. A base is asked in the sentences of its corpus, any other model in
episodes. For words that tuning shows and words that it does not, prints what is lost to the
Bayes-optimal learner after 0 to 4 draws, in nats, and the part of it that went to words that were
not told; then, for lists of two words and no draw, the variance of the difference of their
log-probabilities (0 for the optimal learner) with the share that one number per word explains, and
for each attention head the standard deviation, over lists, of the logarithm of how much more it
looks at one word than at the other.
"""

import math
import random
import sys

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)
WORDS = {
    "tuned on": "robin crow eagle hawk owl swan oak elm ash birch pine maple hammer saw drill axe "
    "spade rake rose tulip daisy lily poppy pansy".split(),
    "new": "duck goose willow cedar hoe chisel iris lupin".split(),
}
OPENINGS = {True: ["Draws from {}.", "A wheel with {}.", "Votes for {}."],
            False: ["Independent draws from {}.", "A categorical distribution over {}.",
                    "A wheel with the fields {}, whose sizes are not known."]}


class Subject:
    def __init__(self, folder):
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
        load = AutoModelForCausalLM.from_pretrained
        self.model = load(folder, attn_implementation="eager").eval()
        self.base = folder.rstrip("/").endswith("base")
        self.before, self.after = (" One: ", ".") if self.base else ("<|output|>", "<|end|>")

    def ids(self, told, drawn):
        opening = told if self.base else f"<|begin|><|description|>{told}<|end|>"
        text = opening + "".join(self.before + word + self.after for word in drawn)
        ids = self.tokenizer(text + self.before.rstrip(), add_special_tokens=False)["input_ids"]
        begin = self.tokenizer.convert_tokens_to_ids("<|begin|>")
        return [begin, *ids] if self.base else ids

    def word(self, word):
        return self.tokenizer(word, add_special_tokens=False)["input_ids"][0]

    def look(self, ids):
        with torch.no_grad():
            seen = self.model(torch.tensor([ids]), output_attentions=True)
        return seen.logits[0].log_softmax(-1), seen.attentions


def regret(subject, words, texts=100, draws=4):
    rng = random.Random(1)
    lost, elsewhere = [0.0] * (draws + 1), [0.0] * (draws + 1)
    for _ in range(texts):
        labels = rng.sample(words, rng.choice([2, 3]))
        shares = [rng.expovariate(1) for _ in labels]
        drawn = rng.choices(labels, shares, k=draws)
        listed = ", ".join(labels[:-1]) + " and " + labels[-1]
        told = rng.choice(OPENINGS[subject.base]).format(listed)
        for seen in range(draws + 1):
            nats, _ = subject.look(subject.ids(told, drawn[:seen]))
            nats = nats[-1, [subject.word(label) for label in labels]]
            counts = [drawn[:seen].count(label) + 1 for label in labels]
            best = torch.tensor([count / sum(counts) for count in counts])
            lost[seen] += (best * (best.log() - nats)).sum().item() / texts
            elsewhere[seen] -= math.log(nats.exp().sum().item()) / texts
    return lost, elsewhere


def evenness(subject, words):
    pairs = [(a, b) for a in words for b in words if a != b]
    ratios, differences = [], []
    for a, b in pairs:
        ids = subject.ids(OPENINGS[subject.base][0].format(f"{a} and {b}"), [])
        nats, attentions = subject.look(ids)
        at = [ids.index(subject.word(word)) for word in (a, b)]
        differences.append((nats[-1, subject.word(a)] - nats[-1, subject.word(b)]).item())
        last = torch.stack([layer[0, :, -1] for layer in attentions])
        ratios.append((last[..., at[0]] / last[..., at[1]]).log())
    difference = torch.tensor(differences)
    design = torch.zeros(len(pairs), len(words))
    for row, (a, b) in enumerate(pairs):
        design[row, words.index(a)], design[row, words.index(b)] = 1.0, -1.0
    per_word = torch.linalg.lstsq(design, difference[:, None], driver="gelsd").solution
    left = difference - (design @ per_word)[:, 0]
    return difference.var().item(), 1 - (left.var() / difference.var()).item(), torch.stack(ratios).std(0)


for folder in sys.argv[1:]:
    subject = Subject(folder)
    for name, words in WORDS.items():
        lost, elsewhere = regret(subject, words)
        print(f"{folder}, words {name}: lost", *(f"{nats:.3f}" for nats in lost),
              "| of it elsewhere", *(f"{nats:.3f}" for nats in elsewhere))
    variance, explained, ratios = evenness(subject, sum(WORDS.values(), []))
    print(f"{folder}: variance {variance:.2f}, {explained:.0%} of it per word; heads",
          *(" ".join(f"{head:.1f}" for head in layer) for layer in ratios.tolist()), sep=" | ")
