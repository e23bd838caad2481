"""A suite of one task over a made-up CSV, to measure `diapason suite build` at scale.

    python benches/rows.py OUT --rows 10000000 [--unordered]
    /usr/bin/time -v diapason suite build --suite OUT --out EPISODES --memory 256

50 rows a person; `--unordered` deals them out so that no two neighbours are of one person.
"""
import argparse, os

TASK = """name = "rows"
title = "Answers of one person"
family = "steer"
kind = "individual"
split = "train"
file = "rows.csv"
sql = "select person as unit, question as input, answer as output, place from rows"
descriptions = [
  "Answers of one person from {place}.",
  "What somebody answered, question by question.",
  "Answers from {place}.",
]
"""

parse = argparse.ArgumentParser()
parse.add_argument("out")
parse.add_argument("--rows", type=int, default=10_000_000)
parse.add_argument("--unordered", action="store_true")
arguments = parse.parse_args()
os.makedirs(arguments.out, exist_ok=True)
persons = max(1, arguments.rows // 50)
with open(f"{arguments.out}/rows.csv", "w", buffering=1 << 20) as out:
    out.write("person,place,question,answer\n")
    for row in range(arguments.rows):
        person = row % persons if arguments.unordered else row // 50
        out.write(f"p{person},town {person % 97},question {row * 7919 % 1000},answer {row * 104729 % 11}\n")
with open(f"{arguments.out}/rows.toml", "w") as out:
    out.write(TASK)
