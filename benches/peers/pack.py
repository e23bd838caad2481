"""From a raw CSV to packed sequences: ours beside datasets.map and TRL's packing, in alternation.

    python benches/peers/pack.py --tokenizer ../shared/data/tokenizers/qwen3 --rows 200000
    pip install datasets trl pandas

Makes a CSV of answers of persons, a suite of one task over it, and measures both on the same file:
read, group by person, render as chat, tokenise, pack to 1024 tokens. Imports and the loading of
the tokenizer are not timed. `survey` repeats 400 questions, as surveys do; `--texts free` gives
every row texts of its own, of few words; `--texts FILE` takes them from the sentences of a text,
in order. The peer computes no loss mask, which ours does. Ratios are of episodes a second: both
make the same episodes, and ours cuts those that are too long where the peer throws tokens away.
On a machine that others use, `--clock cpu` compares processor seconds of all threads.
"""
import argparse, itertools, json, os, random, re, resource, statistics, subprocess, tempfile, time

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


def sentences(path):
    text = re.sub(r"[\s\"]+", " ", open(path, errors="replace").read())
    parts = [part for part in re.findall(r"[^.!?]+[.!?]+", text) if 20 < len(part) < 400]
    return itertools.cycle(parts)


def make(folder, rows, texts):
    draw = random.Random(7)
    sentence = lambda count: " ".join(draw.choice(WORDS) for _ in range(count)).capitalize()
    questions = [sentence(12) + "?" for _ in range(400)]
    genuine = None if texts in ("survey", "free") else sentences(texts)
    with open(f"{folder}/survey.csv", "w") as out:
        out.write("person,question,answer\n")
        for row in range(rows):
            if genuine:
                question, answer = next(genuine).strip(), next(genuine).strip()
            elif texts == "free":
                question, answer = sentence(12) + "?", sentence(25) + "."
            else:
                question, answer = draw.choice(questions), draw.choice(["Agree", "Disagree", "Pass"])
            out.write(f'person {row // 40},"{question}","{answer}"\n')
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
    found = json.loads(subprocess.check_output(command))
    seconds = found["seconds" if kind == "wall" else "processor_seconds"]
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
    parse.add_argument("--texts", default="survey")
    parse.add_argument("--repetitions", type=int, default=5)
    parse.add_argument("--processes", type=int, default=os.cpu_count())
    parse.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    arguments = parse.parse_args()
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    runs = []
    kind = arguments.clock
    with tempfile.TemporaryDirectory() as folder:
        make(folder, arguments.rows, arguments.texts)
        for _ in range(arguments.repetitions):
            mine = ours(arguments.binary, folder, arguments.tokenizer, kind)
            theirs = peer(folder, tokenizer, arguments.processes, kind)
            assert mine[2] == theirs[2]
            rate = lambda run: f"{run[0]:.2f} s, {run[2] / run[0]:.0f} episodes/s, {run[1] / run[0]:.0f} tokens/s"
            runs.append((mine[0], theirs[0], theirs[0] / mine[0]))
            print(f"ours {rate(mine)} | peer {rate(theirs)} | ratio {runs[-1][2]:.1f}", flush=True)
    medians = [statistics.median(column) for column in zip(*runs)]
    print(f"medians: ours {medians[0]:.2f} s, peer {medians[1]:.2f} s, ratio {medians[2]:.1f} "
          f"({arguments.texts}, {arguments.rows} rows, {mine[1]} and {theirs[1]} tokens, {kind} clock, "
          f"peer on {arguments.processes} processes)")

main()
