"""From a raw CSV to packed sequences: ours beside datasets.map and TRL's packing, in alternation.

    python benches/peers/pack.py --tokenizer ../shared/data/tokenizers/qwen3 --rows 200000
    pip install datasets trl pandas

Makes a CSV of answers of persons, a suite of one task over it, and measures both on the same file:
read, group by person, render as chat, tokenise, pack to 1024 tokens. Imports and the loading of
the tokenizer are not timed. `--texts free` gives every row a text of its own; `survey` repeats 400
questions, as surveys do. The peer computes no loss mask, which ours does. On a machine that others
use, `--clock cpu` compares processor seconds instead: of ours, what a run needs beyond one over 40
rows, which only starts and loads the tokenizer.
"""
import argparse, json, os, random, resource, statistics, subprocess, tempfile, time

WORDS = """time people water morning market river letter question answer garden window number story
music children country problem system teacher doctor winter summer evening village mountain paper
history science language machine picture family friend money business government health reason
because between without against through another every little large early often never always""".split()

TASK = """name = "survey"
title = "Answers of one person"
family = "steer"
kind = "individual"
split = "train"
file = "survey.csv"
sql = "select person as unit, question as input, answer as output from survey"
descriptions = ["Answers that one person gave to questions."]
"""


def make(folder, rows, texts):
    draw = random.Random(7)
    sentence = lambda count: " ".join(draw.choice(WORDS) for _ in range(count)).capitalize()
    questions = [sentence(12) + "?" for _ in range(400)]
    free = texts == "free"
    with open(f"{folder}/survey.csv", "w") as out:
        out.write("person,question,answer\n")
        for row in range(rows):
            question = sentence(12) + "?" if free else draw.choice(questions)
            answer = sentence(25) + "." if free else draw.choice(["Agree", "Disagree", "Pass"])
            out.write(f"person {row // 40},{question},{answer}\n")
    with open(f"{folder}/survey.toml", "w") as out:
        out.write(TASK)


def clock(kind):
    if kind == "wall":
        return time.perf_counter()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def ours(binary, folder, tokenizer, kind):
    command = [binary, "bench", "pack", "--suite", folder, "--task", "survey",
               "--tokenizer", tokenizer, "--json"]
    start = clock(kind)
    found = json.loads(subprocess.check_output(command))
    seconds = found["seconds"] if kind == "wall" else clock(kind) - start
    return seconds, found["tokens"], found["episodes"]


def peer(folder, tokenizer, processes, kind):
    import datasets, pandas, trl
    DESCRIPTION = "Answers that one person gave to questions."
    datasets.disable_progress_bars()
    datasets.disable_caching()
    start = clock(kind)
    table = pandas.read_csv(f"{folder}/survey.csv")
    groups = table.groupby("person", sort=False)[["question", "answer"]].agg(list)
    rows = datasets.Dataset.from_dict(
        {"questions": groups.question.tolist(), "answers": groups.answer.tolist()})

    def tokenise(row):
        pairs = list(zip(row["questions"], row["answers"]))
        random.shuffle(pairs)
        messages = [{"role": "system", "content": DESCRIPTION}]
        for question, answer in pairs:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
        ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)
        return {"input_ids": ids["input_ids"]}

    rows = rows.map(tokenise, remove_columns=rows.column_names,
                    num_proc=processes if processes > 1 else None)
    tokens = sum(map(len, rows["input_ids"]))
    packed = trl.pack_dataset(rows, seq_length=1024, strategy="bfd")
    assert len(packed) > 0
    return clock(kind) - start, tokens, len(rows)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--tokenizer", required=True)
    parse.add_argument("--binary", default="target/release/diapason")
    parse.add_argument("--rows", type=int, default=200000)
    parse.add_argument("--texts", choices=["survey", "free"], default="survey")
    parse.add_argument("--repetitions", type=int, default=5)
    parse.add_argument("--processes", type=int, default=os.cpu_count())
    parse.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    arguments = parse.parse_args()
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    ratios = []
    kind = arguments.clock
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.repetitions):
            make(folder, 40, arguments.texts)
            start = ours(arguments.binary, folder, arguments.tokenizer, kind)[0]
            make(folder, arguments.rows, arguments.texts)
            seconds, *counts = ours(arguments.binary, folder, arguments.tokenizer, kind)
            mine = (seconds - start if kind == "cpu" else seconds, *counts)
            theirs = peer(folder, tokenizer, arguments.processes, kind)
            rate = lambda run: f"{run[0]:.2f} s, {run[2] / run[0]:.0f} episodes/s, {run[1] / run[0]:.0f} tokens/s"
            ratios.append((mine[1] / mine[0]) / (theirs[1] / theirs[0]))
            print(f"ours {rate(mine)} | peer {rate(theirs)} | ratio {ratios[-1]:.1f}", flush=True)
    print(f"median ratio of tokens a second {statistics.median(ratios):.1f} "
          f"({arguments.texts}, {arguments.rows} rows, {kind} clock, "
          f"peer on {arguments.processes} processes)")


main()
