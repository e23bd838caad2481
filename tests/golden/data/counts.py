"""Finds, with pandas and nothing of ours, what tasks must give on the genuine files: counts, and for
some tasks checksums of all their texts (content) and of those of the first unit by name (first).

    python counts.py DATA_FOLDER > counts.json
"""

import ast
import hashlib
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import pandas as pd

DATA = Path(sys.argv[1])


def clean(text):
    return text.strip().replace("\r\n", "\n")


def digest(pairs):
    """Of what is given and what follows, in no order."""
    lines = {json.dumps(list(pair), ensure_ascii=False, separators=(",", ":")) for pair in pairs}
    text = "\n".join(sorted(lines, key=lambda line: line.encode()))
    return hashlib.sha256(text.encode()).hexdigest()


def texts(units):
    """Checksums for a dictionary of (given, output) pairs by unit."""
    everything = [pair for pairs in units.values() for pair in pairs]
    first = min(units, key=lambda unit: unit.encode())
    return {"content": digest(everything), "first": digest(units[first])}


def polis_vote():
    """Last vote of each of the 500 lowest voters on each accepted statement of four words."""
    units = turns = 0
    said = {}
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
        bodies = dict(zip(comments["comment-id"], text))
        for vote in last[last["comment-id"].isin(kept) & last["voter-id"].isin(counts.index)].itertuples():
            _, index, _, _, comment, voter, value = vote
            pair = (clean(bodies[comment]), {1: "Agree", 0: "Pass", -1: "Disagree"}[value])
            said.setdefault(f"{folder.name} {voter}", []).append(pair)
    return {"episodes": units, "units": units, "turns": turns} | texts(said)


def popquorn_individual():
    """The first 100 annotators of each part, those with six rows or more."""
    counts, said = [], {}
    for part, column in [("offensiveness", "text"), ("email_rewriting", "original email")]:
        table = pd.read_csv(DATA / "popquorn/dataset" / part / "raw_data.csv")
        table = table[table["user_id"].notna()]
        needed = [column, "revised email"] if part == "email_rewriting" else [column]
        for name in needed:
            table = table[table[name].fillna("").str.strip() != ""]
        sizes = table.groupby("user_id", sort=False).size()[:100]
        counts.append(sizes[sizes >= 6])
        for _, row in table[table["user_id"].isin(counts[-1].index)].iterrows():
            output = row["revised email"] if part == "email_rewriting" else str(int(row["offensiveness"]))
            unit = f"{'email' if part == 'email_rewriting' else part}/annotator {int(row['user_id'])}"
            said.setdefault(unit, []).append((clean(row[column]), clean(output)))
    units = sum(len(part) for part in counts)
    turns = int(sum(part.sum() for part in counts))
    return {"episodes": units, "units": units, "turns": turns} | texts(said)


def lewidi():
    items = pd.read_json(DATA / "lewidi/Paraphrase/Paraphrase_train.json", orient="index")
    answers = items["annotations"].map(list).explode()
    sizes = answers.value_counts()
    chunks = sum(-(-size // 20) for size in sizes)
    said = {}
    for _, item in items.iterrows():
        given = {"question 1": clean(item["text"]["Question1"]), "question 2": clean(item["text"]["Question2"])}
        for person, answer in item["annotations"].items():
            said.setdefault(person, []).append((json.dumps(given, ensure_ascii=False), str(int(answer))))
    counts = {"episodes": chunks, "units": len(sizes), "turns": int(sizes.sum())}
    return counts, counts | texts(said)


def chemistry_esol():
    table = pd.read_csv(DATA / "chemistry/esol_iupac.csv", dtype=str)
    table = table[table["measured log(solubility:mol/L)"].notna()]
    chunks = -(-len(table) // 15)
    said = []
    for _, row in table.iterrows():
        given = {name: None if pd.isna(row[name]) else row[name] for name in ["SMILES", "SELFIES", "InChI", "IUPAC"]}
        said.append((json.dumps(given, ensure_ascii=False), row["measured log(solubility:mol/L)"]))
    return {"episodes": 5 * chunks, "units": chunks, "turns": 5 * len(table), "content": digest(said)}


def nytimes():
    path = DATA / "benchmarking-distributional-alignment/nytimes/NYTIMES_proportions.json"
    books = pd.read_json(path, orient="index")
    groups = books[["Democrat", "Republican", "Male", "Female"]].stack()
    said = {}
    answers = ["1: Very unlikely", "2: Somewhat unlikely", "3: Somewhat likely", "4: Very likely"]
    for (title, _), counts in groups.items():
        book = books.loc[title]
        given = ["How likely are you to read this book?", f"Title: {clean(title)}", f"Genre: {clean(book['genre'])}"]
        given = "\n".join([*given, f"Summary: {clean(book['summary'])}", *answers])
        shares = [f"{answer[0]} {counts[answer] / sum(counts.values()):.6f}" for answer in answers]
        said.setdefault(title, []).append((given, ", ".join(shares)))
    usable = int(groups.map(lambda counts: sum(counts.values()) > 0).sum())
    return {"episodes": usable, "units": len(books)} | texts(said)


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


def chunked(rows, length, orders=1):
    """Chunks of one table, without a last one of a single row."""
    kept = rows - (rows % length == 1)
    chunks = -(-kept // length)
    return {"episodes": orders * chunks, "units": chunks, "turns": orders * kept}


def mmlu():
    files = (DATA / "mmlu/test").glob("*_test.csv")
    tables = [pd.read_csv(path, header=None, keep_default_na=False) for path in files]
    return chunked(sum(int(table[5].isin(list("ABCD")).sum()) for table in tables), 20)


def truthful_qa():
    questions = pd.read_json(DATA / "truthfulqa/mc_task.json")
    return chunked(int((questions["mc1_targets"].map(lambda o: sum(o.values())) == 1).sum()), 10)


def gpqa():
    with zipfile.ZipFile(DATA / "gpqa/dataset.zip") as archive:
        text = archive.read("dataset/gpqa_main.csv", pwd=b"deserted-untie-orchid")
    return chunked(len(pd.read_csv(io.BytesIO(text))), 20, orders=5)


def drop():
    path = next(iter(sorted((DATA / "drop").glob("drop_dataset*.json"))))
    return chunked(sum(len(passage["qa_pairs"]) for passage in json.loads(path.read_text()).values()), 10)


def annotators(name):
    """Every annotator of a LeWiDi file once, with all of their answers."""
    items = pd.read_json(DATA / f"lewidi/{name}/{name}_dev.json", orient="index")
    sizes = items["annotations"].map(list).explode().value_counts()
    sizes = sizes[sizes >= 2]
    counts = {"episodes": len(sizes), "units": len(sizes), "turns": int(sizes.clip(upper=1000).sum())}
    if name != "CSC":
        return counts
    said = {}
    for _, item in items.iterrows():
        given = {"context": clean(item["text"]["context"]), "reply": clean(item["text"]["response"])}
        for person, answer in item["annotations"].items():
            if person in sizes.index:
                said.setdefault(person, []).append((json.dumps(given, ensure_ascii=False), answer))
    return counts | texts(said)


def varierr():
    items = pd.read_json(DATA / "lewidi/VariErrNLI/VariErrNLI_train.json", orient="index")
    people = [chunked(size, 30) for size in items["annotations"].map(list).explode().value_counts()]
    counts = {key: sum(person[key] for person in people) for key in ["episodes", "turns"]}
    return counts | {"units": len(people)}


def numbergame():
    path = next(iter(sorted((DATA / "numbergame").glob("numbergame_data*.csv"))))
    sizes = pd.read_csv(path, dtype=str).groupby(["set", "target"]).size()
    return {"episodes": min(1000, int((sizes >= 9).sum()))}


def diffuse_distribution():
    """Ten orders of the targets of every file that has two or more."""
    lists = [json.loads(path.read_text())["targets"] for path in (DATA / "diffuse-distributions/prompts").rglob("*.json")]
    sizes = [sum(bool(re.sub("[{}\u200b]", "", target).strip()) for target in targets) for targets in lists]
    sizes = [size for size in sizes if size >= 2]
    return {"episodes": 10 * len(sizes), "units": len(sizes), "turns": 10 * sum(sizes)}


def social_choice(kind, needed):
    """Every participant of both surveys with two answers or more of one kind."""
    sizes = []
    for path in (DATA / "generativesocialchoice/data").glob("*_survey.csv"):
        table = pd.read_csv(path, keep_default_na=False)
        for column in needed:
            table = table[table[column].str.strip() != ""]
        sizes.append(table[table["question_type"] == kind].groupby("user_id").size())
    sizes = pd.concat(sizes)
    sizes = sizes[sizes >= 2]
    return {"episodes": len(sizes), "units": len(sizes), "turns": int(sizes.sum())}


def opinionqa_questions():
    path = next((DATA / "opinionqa/human_resp").glob("*/info.csv"))
    table = pd.read_csv(path)
    table = table[table["references"].map(lambda cell: 2 <= len(ast.literal_eval(cell)) <= 26)]
    waves = [chunked(int(size), 20) for size in table["key"].str.extract(r"_(W\d+)$")[0].value_counts()]
    waves = [wave for wave in waves if wave["episodes"]]
    counts = {key: sum(wave[key] for wave in waves) for key in ["episodes", "turns"]}
    return counts | {"units": len(waves)}


def globaloqa():
    """Two orders of the usable questions of every country that has two or more."""
    path = next(iter(sorted((DATA / "global_opinions").glob("global_opinions.*csv"))))
    sizes = {}
    for _, row in pd.read_csv(path).iterrows():
        options = ast.literal_eval(row["options"])
        shares = ast.literal_eval(re.sub(r"^defaultdict\(<class 'list'>, (.*)\)$", r"\1", row["selections"]))
        for country, share in shares.items():
            if len(share) == len(options) and sum(share) > 0:
                name = re.sub(r"\s*\(.*\)$", "", country)
                sizes[name] = sizes.get(name, 0) + 1
    sizes = [size for size in sizes.values() if size >= 2]
    return {"episodes": 2 * len(sizes), "units": len(sizes), "turns": 2 * sum(sizes)}


print(json.dumps({
    "polis_vote": polis_vote(),
    "popquorn_individual": popquorn_individual(),
    "lewidi_par_paraphrase_detection_individual": lewidi()[0],
    "lewidi_par_paraphrase_detection_individual_categorical": lewidi()[1],
    "chemistry_esol": chemistry_esol(),
    "nytimes": nytimes(),
    "global_oqa": global_oqa(),
    "mmlu": mmlu(),
    "truthful_qa": truthful_qa(),
    "winogrande": chunked(
        len(pd.read_parquet(next((DATA / "winogrande/winogrande_xl").glob("validation-*.parquet")))), 10
    ),
    "chemistry_oxidative": chunked(
        int(pd.read_csv(DATA / "chemistry/train_data_num_feats.csv")["C2_yield"].notna().sum()), 10
    ),
    "gpqa": gpqa(),
    "drop": drop(),
    "lewidi_csc_sarcasm_detection_individual": annotators("CSC"),
    "lewidi_mp_irony_detection_individual": annotators("MP"),
    "lewidi_varierrnli_nli_detection_individual": varierr(),
    "numbergame": numbergame(),
    "diffuse_distribution": diffuse_distribution(),
    "generativesocialchoice_validation": social_choice("multiple choice + text", ["choice", "text", "json_choices"]),
    "generativesocialchoice_freetext": social_choice("text", ["text"]),
    "opinionqa_questions": opinionqa_questions(),
    "globaloqa": globaloqa(),
}, indent=2))
