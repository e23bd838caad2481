"""How evenly a model of `diapason quickstart` copies the people that it was told of.

    python benches/quickstart/told_people.py OUT/base OUT/models/spectrum

needs PyTorch and transformers. A base is asked in the sentences of its corpus, any other model in
episodes. For people of the corpus and new ones, prints what is lost to the Bayes-optimal learner
after 0 to 4 draws, in nats a draw; then how much of it goes to first names that were not told, and
how much to the surname once the first name is said; then, for lists of two people and no draw, the
variance of the difference of the log-probabilities of their first names (0 for the optimal
learner) with the share that one number per name explains, and for each attention head the standard
deviation, over lists, of the logarithm of how much more it looks at one first name than at the
other.
"""

import math
import pathlib
import random
import re
import sys

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)
WORDS = (pathlib.Path(__file__).parents[2] / "crates/diapason-data/src/world/words.rs").read_text()
FIRST, SURNAMES = (re.findall(r'"(\w+)"', re.search(rf"const {name}: .*?;\n", WORDS, re.S)[0])
                   for name in ("FIRST_NAMES", "SURNAMES"))
NEW = {True: "new", False: "of the corpus"}
OPENINGS = {True: ["Draws from {}.", "A wheel with {}.", "Votes for {}."],
            False: ["Independent draws from {}.", "A categorical distribution over {}.",
                    "A wheel with the fields {}, whose sizes are not known."]}


def surname(rng, row, new):
    return rng.choice([name for column, name in enumerate(SURNAMES) if ((row + column) % len(FIRST) == 0) == new])


class Subject:
    def __init__(self, folder):
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
        load = AutoModelForCausalLM.from_pretrained
        self.model = load(folder, attn_implementation="eager").eval()
        self.base = folder.rstrip("/").endswith("base")
        self.before, self.after = (" One: ", ".") if self.base else ("<|output|>", "<|end|>")

    def ids(self, told, drawn, begun=""):
        opening = told if self.base else f"<|begin|><|description|>{told}<|end|>"
        text = opening + "".join(self.before + word + self.after for word in drawn)
        text += (self.before + begun) if begun else self.before.rstrip()
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        begin = self.tokenizer.convert_tokens_to_ids("<|begin|>")
        return [begin, *ids] if self.base else ids

    def word(self, word):
        return self.tokenizer(word, add_special_tokens=False)["input_ids"][0]

    def look(self, ids):
        with torch.no_grad():
            seen = self.model(torch.tensor([ids]), output_attentions=True)
        return seen.logits[0].log_softmax(-1), seen.attentions


def regret(subject, new, texts=100, draws=4):
    rng = random.Random(1)
    lost, elsewhere, second = ([0.0] * (draws + 1) for _ in range(3))
    for _ in range(texts):
        rows = rng.sample(range(len(FIRST)), rng.choice([2, 3]))
        labels = [(FIRST[row], surname(rng, row, new)) for row in rows]
        people = [" ".join(label) for label in labels]
        shares = [rng.expovariate(1) for _ in labels]
        drawn = rng.choices(people, shares, k=draws)
        told = rng.choice(OPENINGS[subject.base]).format(", ".join(people[:-1]) + " and " + people[-1])
        for seen in range(draws + 1):
            nats, _ = subject.look(subject.ids(told, drawn[:seen]))
            nats = nats[-1, [subject.word(first) for first, _ in labels]]
            after = torch.stack([subject.look(subject.ids(told, drawn[:seen], first))[0][-1, subject.word(last)]
                                 for first, last in labels])
            counts = [drawn[:seen].count(person) + 1 for person in people]
            best = torch.tensor([count / sum(counts) for count in counts])
            lost[seen] += (best * (best.log() - nats - after)).sum().item() / texts
            elsewhere[seen] -= math.log(nats.exp().sum().item()) / texts
            second[seen] -= (best * after).sum().item() / texts
    return lost, elsewhere, second


def evenness(subject):
    rng = random.Random(2)
    pairs = [(a, b) for a in range(len(FIRST)) for b in range(len(FIRST)) if a != b]
    ratios, differences = [], []
    for a, b in pairs:
        people = [f"{FIRST[row]} {surname(rng, row, False)}" for row in (a, b)]
        ids = subject.ids(OPENINGS[subject.base][0].format(" and ".join(people)), [])
        nats, attentions = subject.look(ids)
        words = [subject.word(FIRST[row]) for row in (a, b)]
        at = [ids.index(word) for word in words]
        differences.append((nats[-1, words[0]] - nats[-1, words[1]]).item())
        last = torch.stack([layer[0, :, -1] for layer in attentions])
        ratios.append(((last[..., at[0]] + 1e-9) / (last[..., at[1]] + 1e-9)).log())
    difference = torch.tensor(differences)
    design = torch.zeros(len(pairs), len(FIRST))
    for row, (a, b) in enumerate(pairs):
        design[row, a], design[row, b] = 1.0, -1.0
    per_word = torch.linalg.lstsq(design, difference[:, None], driver="gelsd").solution
    left = difference - (design @ per_word)[:, 0]
    return difference.var().item(), 1 - (left.var() / difference.var()).item(), torch.stack(ratios).std(0)


for folder in sys.argv[1:]:
    subject = Subject(folder)
    for new in (False, True):
        lost, elsewhere, second = regret(subject, new)
        print(f"{folder}, people {NEW[new]}: lost", *(f"{nats:.3f}" for nats in lost),
              "| not told", *(f"{nats:.3f}" for nats in elsewhere),
              "| surname", *(f"{nats:.3f}" for nats in second))
    variance, explained, ratios = evenness(subject)
    print(f"{folder}: variance {variance:.2f}, {explained:.0%} of it per name; heads",
          *(" ".join(f"{head:.1f}" for head in layer) for layer in ratios.tolist()), sep=" | ")
