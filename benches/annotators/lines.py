"""Answers of three lines in each of the 23 languages, for `diapason answers language`.

    python benches/peers/markers.py data ../shared/data DATA --mirror MIRROR
    python benches/annotators/lines.py DATA OUT
    diapason answers language OUT/right.jsonl
    diapason answers language OUT/wrong.jsonl

The lines are texts that `markers.py` gathers, pairs of words left out. In `wrong.jsonl` the middle
line of each answer is of the language that comes next in the alphabet.
"""
import collections, json, os, sys

texts = collections.defaultdict(list)
for line in open(f"{sys.argv[1]}/languages.tsv", encoding="utf8"):
    source, language, text = line.rstrip("\n").split("\t")
    if source != "leipzig-word-pairs":
        texts[language].append(" ".join(text.split()))
names = sorted(texts)
os.makedirs(sys.argv[2], exist_ok=True)
with open(f"{sys.argv[2]}/right.jsonl", "w", encoding="utf8") as right, \
        open(f"{sys.argv[2]}/wrong.jsonl", "w", encoding="utf8") as wrong:
    for index, name in enumerate(names):
        other = texts[names[(index + 1) % len(names)]]
        for at in range(0, min(600, len(texts[name]) - 2), 3):
            lines = texts[name][at:at + 3]
            row = lambda lines: json.dumps({"markers": {"lang": name}, "completion": "\n".join(lines)}, ensure_ascii=False) + "\n"
            right.write(row(lines))
            wrong.write(row([lines[0], other[at % len(other)], lines[2]]))
