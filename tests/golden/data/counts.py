"""Counts, with pandas and nothing of ours, what tasks must give on the genuine files.

    python counts.py DATA_FOLDER > counts.json
"""

import ast
import json
import re
import sys
from pathlib import Path

import pandas as pd

DATA = Path(sys.argv[1])


def polis_vote():
    """Last vote of each of the 500 lowest voters on each accepted statement of four words."""
    units = turns = 0
    for folder in sorted(path for path in (DATA / "polis").iterdir() if (path / "votes.csv").exists()):
        comments = pd.read_csv(folder / "comments.csv", keep_default_na=False)
        text = comments["comment-body"]
        long = text.str.split().str.len().ge(4) | text.str.contains(r"[\u4e00-\u9fff]{4}")
        kept = set(comments[(comments["moderated"] != -1) & long]["comment-id"])
        votes = pd.read_csv(folder / "votes.csv").reset_index()
        votes = votes[votes["vote"].isin([-1, 0, 1])]
        first = sorted(votes["voter-id"].unique())[:500]
        votes = votes[votes["voter-id"].isin(first)].sort_values(["timestamp", "index"])
        last = votes.drop_duplicates(["voter-id", "comment-id"], keep="last")
        counts = last[last["comment-id"].isin(kept)].groupby("voter-id").size()
        counts = counts[counts >= 4]
        units += len(counts)
        turns += int(counts.sum())
    return {"episodes": units, "units": units, "turns": turns}


def popquorn_individual():
    """The first 100 annotators of each part, those with six rows or more."""
    counts = []
    for part, column in [("offensiveness", "text"), ("email_rewriting", "original email")]:
        table = pd.read_csv(DATA / "popquorn/dataset" / part / "raw_data.csv")
        table = table[table["user_id"].notna()]
        needed = [column, "revised email"] if part == "email_rewriting" else [column]
        for name in needed:
            table = table[table[name].fillna("").str.strip() != ""]
        sizes = table.groupby("user_id", sort=False).size()[:100]
        counts.append(sizes[sizes >= 6])
    units = sum(len(part) for part in counts)
    return {"episodes": units, "units": units, "turns": int(sum(part.sum() for part in counts))}


def lewidi():
    items = pd.read_json(DATA / "lewidi/Paraphrase/Paraphrase_train.json", orient="index")
    answers = items["annotations"].map(list).explode()
    sizes = answers.value_counts()
    chunks = sum(-(-size // 20) for size in sizes)
    return {"episodes": chunks, "units": len(sizes), "turns": int(sizes.sum())}


def chemistry_esol():
    table = pd.read_csv(DATA / "chemistry/esol_iupac.csv")
    rows = int(table["measured log(solubility:mol/L)"].notna().sum())
    chunks = -(-rows // 15)
    return {"episodes": 5 * chunks, "units": chunks, "turns": 5 * rows}


def nytimes():
    path = DATA / "benchmarking-distributional-alignment/nytimes/NYTIMES_proportions.json"
    books = pd.read_json(path, orient="index")
    groups = books[["Democrat", "Republican", "Male", "Female"]].stack()
    return {"episodes": int(groups.map(lambda counts: sum(counts.values()) > 0).sum()), "units": len(books)}


def global_oqa():
    path = next(iter(sorted((DATA / "global_opinions").glob("global_opinions.*csv"))))
    table = pd.read_csv(path)
    episodes, questions = 0, set()
    for _, row in table[table["question"].notna()].iterrows():
        options = ast.literal_eval(row["options"])
        shares = ast.literal_eval(re.sub(r"^defaultdict\(<class 'list'>, (.*)\)$", r"\1", row["selections"]))
        usable = [s for s in shares.values() if len(s) == len(options) and sum(s) > 0]
        episodes += len(usable)
        questions |= {row["question"].strip()} if usable else set()
    return {"episodes": episodes, "units": len(questions)}


print(json.dumps({
    "polis_vote": polis_vote(),
    "popquorn_individual": popquorn_individual(),
    "lewidi_par_paraphrase_detection_individual": lewidi(),
    "chemistry_esol": chemistry_esol(),
    "nytimes": nytimes(),
    "global_oqa": global_oqa(),
}, indent=2))
