"""Sentences and words of paragraphs made of four sentences of a treebank, ours beside blingfire.

    python benches/peers/markers.py data ../shared/data DATA --mirror MIRROR
    python benches/annotators/sentences.py make DATA OUT.jsonl
    diapason mark OUT.jsonl --out MARKED.jsonl
    pip install blingfire
    python benches/annotators/sentences.py compare MARKED.jsonl

Share of paragraphs with exactly four sentences, and the mean relative error of their words; then
texts a second of processor time of blingfire, which does nothing else.
"""
import collections, json, sys, time

UNSPACED = ("Chinese", "Japanese", "Thai")


def make(data, out):
    sentences = collections.defaultdict(list)
    for line in open(f"{data}/words.tsv", encoding="utf8"):
        language, words, text = line.rstrip("\n").split("\t")
        sentences[language].append((int(words), text))
    with open(out, "w", encoding="utf8") as file:
        for language, rows in sorted(sentences.items()):
            # Titles and fragments are no sentences to anybody.
            rows = [row for row in rows if row[1].rstrip("\"'»“”)]』」’")[-1:] in (".", "!", "?", "。", "！", "？", "؟", "।", ";")]
            for at in range(0, len(rows) - 3, 4):
                text = ("" if language in UNSPACED else " ").join(row[1] for row in rows[at:at + 4])
                words = sum(row[0] for row in rows[at:at + 4])
                file.write(json.dumps({"language": language, "words": words, "text": text}, ensure_ascii=False) + "\n")


def compare(path):
    import blingfire
    rows = [json.loads(line) for line in open(path, encoding="utf8")]
    seconds = time.process_time()
    peer = [(len(blingfire.text_to_sentences(row["text"]).split("\n")),
             sum(any(c.isalnum() for c in word) for word in blingfire.text_to_words(row["text"]).split(" ")))
            for row in rows]
    seconds = time.process_time() - seconds
    groups = collections.defaultdict(lambda: [0, 0, 0, 0.0, 0.0])
    for row, (sentences, words) in zip(rows, peer):
        own = row["markers"]
        for name in (row["language"], "all"):
            group = groups[name]
            group[0] += 1
            group[1] += int(own["length_sentences"]) == 4
            group[2] += sentences == 4
            group[3] += abs(int(own["length_tokens"]) - row["words"]) / row["words"]
            group[4] += abs(words - row["words"]) / row["words"]
    print("language: paragraphs; exactly four sentences, ours and blingfire's; error of words, ours and blingfire's (%)")
    for name, (count, own, other, error, others) in sorted(groups.items(), key=lambda item: item[0] == "all"):
        print(f"  {name:12} {count:5}  {100*own/count:5.1f} {100*other/count:5.1f}   {100*error/count:5.1f} {100*others/count:5.1f}")
    print(f"blingfire, sentences and words: {len(rows) / seconds:.0f} texts a second")


make(*sys.argv[2:]) if sys.argv[1] == "make" else compare(sys.argv[2])
