"""Labelled texts for the marker annotators, and peers on the same texts.

    python benches/peers/markers.py data ../shared/data OUT [--mirror DIR]
    pip install langdetect py3langid lingua-language-detector pygments
    python benches/peers/markers.py peers OUT

`data` writes languages.tsv, code.jsonl and words.tsv for the example `annotators` of
diapason-markers. `--mirror` is a folder of checkouts of UniversalDependencies and of
pemistahl/lingua-rs (bare, as `UniversalDependencies+UD_Polish-PUD/repo`), for sentences in languages
that the shared data lacks. Nothing is downloaded.
"""
import argparse, collections, csv, glob, io, json, os, re, subprocess, time, zipfile

NAMES = dict(ar="Arabic", de="German", en="English", es="Spanish", fr="French", hi="Hindi",
             id="Indonesian", it="Italian", ja="Japanese", ko="Korean", pt="Portuguese",
             ru="Russian", tr="Turkish", vi="Vietnamese", zh="Chinese", cs="Czech", el="Greek",
             fa="Persian", he="Hebrew", nl="Dutch", pl="Polish", ro="Romanian", uk="Ukrainian")


def shared_texts(root):
    for path in sorted(glob.glob(f"{root}/mgsm/*.tsv")):
        code = path[-6:-4]
        for row in csv.reader(open(path, encoding="utf8"), delimiter="\t", quoting=csv.QUOTE_NONE):
            if code in NAMES:
                yield "mgsm", NAMES[code], row[0]
    archive = zipfile.ZipFile(f"{root}/language_confusion/test_sets.zip")
    for name in sorted(archive.namelist()):
        if "/monolingual/" in name and name.endswith(".csv") and "__MACOSX" not in name:
            for row in csv.DictReader(io.TextIOWrapper(archive.open(name), "utf8")):
                yield "confusion", NAMES[os.path.basename(name)[:2]], row["prompt"]
    for path in sorted(glob.glob(f"{root}/vicuna_multilingual/*.jsonl")):
        language = os.path.basename(path)[10:-6].replace("Deutsch", "German")
        for line in open(path, encoding="utf8"):
            yield "vicuna", language, json.loads(line)["text"]


def show(repository, name):
    found = subprocess.run(["git", "-C", repository, "show", f"HEAD:{name}"], capture_output=True)
    return found.stdout.decode("utf8") if found.returncode == 0 else ""


def treebanks(mirror):
    """Language, words without punctuation, sentence."""
    for repository in sorted(glob.glob(f"{mirror}/UniversalDependencies+*/repo")):
        language = re.search(r"UD_(\w+)-", repository).group(1)
        listed = subprocess.check_output(
            ["git", "-C", repository, "ls-tree", "--name-only", "HEAD"], text=True).split()
        name = next(name for name in listed if name.endswith("test.conllu"))
        for sentence in show(repository, name).split("\n\n")[:1000]:
            text = re.search(r"^# text = (.*)$", sentence, re.M)
            if not text:
                continue
            words, covered = 0, set()
            for cells in (line.split("\t") for line in sentence.split("\n")):
                if len(cells) < 4 or "." in cells[0]:
                    continue
                if "-" in cells[0]:
                    first, last = map(int, cells[0].split("-"))
                    covered |= set(range(first, last + 1))
                    words += 1
                elif int(cells[0]) not in covered and cells[3] not in ("PUNCT", "SYM"):
                    words += 1
            yield language, words, text.group(1)


def held_out_of_lingua(mirror):
    for code, language in NAMES.items():
        for kind in ("sentences", "word-pairs"):
            text = show(f"{mirror}/pemistahl+lingua-rs/repo",
                        f"language-models/{code}/testdata/{kind}.txt")
            for line in text.splitlines()[:500]:
                yield f"leipzig-{kind}", language, line


def programs(root):
    names = dict(js="javascript")
    for path in sorted(glob.glob(f"{root}/humanevalpack/*/humanevalpack.jsonl")):
        folder = os.path.basename(os.path.dirname(path))
        label = names.get(folder, folder)
        for line in open(path, encoding="utf8"):
            row = json.loads(line)
            yield "humanevalpack", label, row["prompt"] + row["canonical_solution"]
            yield "humanevalpack-body", label, row["declaration"] + row["canonical_solution"]
            yield "humanevalpack-test", label, row["test"]
    for row in json.load(open(f"{root}/alpaca_data/alpaca_5000.json", encoding="utf8")):
        code = re.search(r"\b(code|program|script|function|query|sql|html|css|python|java\w*|c\+\+|regex)\b",
                         row["instruction"] + row["input"], re.I)
        if not code and row["output"]:
            yield "alpaca-prose", "none", row["output"]


def data(arguments):
    os.makedirs(arguments.out, exist_ok=True)
    rows = list(shared_texts(arguments.data))
    words = []
    if arguments.mirror:
        words = list(treebanks(arguments.mirror))
        rows += [("treebanks", language, text) for language, _, text in words
                 if language in NAMES.values()]
        rows += held_out_of_lingua(arguments.mirror)
    clean = lambda text: re.sub(r"\s+", " ", text).strip()
    with open(f"{arguments.out}/languages.tsv", "w", encoding="utf8") as out:
        out.writelines(f"{s}\t{l}\t{clean(t)}\n" for s, l, t in rows if clean(t))
    with open(f"{arguments.out}/words.tsv", "w", encoding="utf8") as out:
        out.writelines(f"{l}\t{n}\t{clean(t)}\n" for l, n, t in words)
    with open(f"{arguments.out}/code.jsonl", "w", encoding="utf8") as out:
        for source, label, text in programs(arguments.data):
            out.write(json.dumps(dict(source=source, label=label, text=text)) + "\n")


def compare(title, rows, predict):
    start = time.process_time()
    found = [predict(text) for _, _, text in rows]
    seconds = time.process_time() - start
    print(f"\n{title}: {len(rows)} texts, {len(rows) / seconds:.0f} texts a second of processor time")
    for column in (0, 1):
        groups = collections.defaultdict(lambda: [0, 0])
        for row, answer in zip(rows, found):
            groups[row[column]][0] += answer == row[1]
            groups[row[column]][1] += 1
        print("  " + ", ".join(f"{k} {100 * a / b:.2f}" for k, (a, b) in sorted(groups.items())))


def peers(arguments):
    rows = [line.rstrip("\n").split("\t", 2)
            for line in open(f"{arguments.out}/languages.tsv", encoding="utf8")]
    rows = rows[:: arguments.every]
    import langdetect, py3langid
    from langdetect import DetectorFactory
    DetectorFactory.seed = 0

    def detect(text):
        try:
            return NAMES.get(langdetect.detect(text)[:2], "")
        except langdetect.lang_detect_exception.LangDetectException:
            return ""
    compare("langdetect", rows, detect)
    py3langid.set_languages(list(NAMES))
    compare("py3langid, 23 languages", rows, lambda text: NAMES[py3langid.classify(text)[0]])
    import lingua
    known = [getattr(lingua.Language, name.upper()) for name in NAMES.values()]
    detector = lingua.LanguageDetectorBuilder.from_languages(*known).with_preloaded_language_models().build()
    compare("lingua, 23 languages", rows,
            lambda text: (lambda found: found.name.title() if found else "")(detector.detect_language_of(text)))
    from pygments.lexers import guess_lexer
    aliases = {"c++": "cpp", "js": "javascript"}
    code = [json.loads(line) for line in open(f"{arguments.out}/code.jsonl", encoding="utf8")]
    code = [(row["source"], row["label"], row["text"]) for row in code if row["label"] != "none"]

    def guess(text):
        try:
            names = guess_lexer(text).aliases
        except Exception:
            return ""
        return aliases.get(names[0], names[0]) if names else ""
    compare("pygments", code[:: arguments.every], guess)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("data")
    verb.add_argument("data")
    verb.add_argument("out")
    verb.add_argument("--mirror")
    verb.set_defaults(run=data)
    verb = verbs.add_parser("peers")
    verb.add_argument("out")
    verb.add_argument("--every", type=int, default=1)
    verb.set_defaults(run=peers)
    arguments = parser.parse_args()
    arguments.run(arguments)
