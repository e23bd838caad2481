"""Accuracy of the measured `format` on examples of ours, other than those of its tests.

    diapason mark benches/annotators/formats.jsonl --out OUT.jsonl
    python benches/annotators/formats.py OUT.jsonl
"""
import collections, json, sys

NAMES = "MCQAnswer ChainOfThought XML JSON Enumeration Tabular Markdown Latex".split()
counts = {name: collections.Counter() for name in NAMES}
right, rows, none = 0, 0, [0, 0]
for line in open(sys.argv[1], encoding="utf8"):
    row = json.loads(line)
    found = row["markers"].get("format", [])
    found = {found} if isinstance(found, str) else set(found)
    true = set(row["formats"])
    rows, right = rows + 1, right + (found == true)
    if not true:
        none[0], none[1] = none[0] + (not found), none[1] + 1
    for name in NAMES:
        counts[name].update(is_=name in true, found=name in found, both=name in true and name in found)
    if found != true:
        print(f"  {sorted(true)} taken for {sorted(found)}: {row['text'][:60]!r}")
print(f"{right} of {rows} texts have exactly their formats; {none[0]} of {none[1]} without any have none")
for name, count in counts.items():
    share = lambda of: f"{100 * count['both'] / of:5.1f} %" if of else "    –"
    print(f"{name:16} precision {share(count['found'])}  recall {share(count['is_'])}  of {count['is_']}")
