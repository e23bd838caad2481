"""Labelled examples for the embedded taggers of domain and task, from openly licensed sources.

    python benches/tagger/corpus.py ../shared/data OUT --templates REPOSITORY

writes `fit.jsonl`, `choose.jsonl` and `test.jsonl`: rows of `prompt`, `completion`, `source` and
`markers`. The three share no source. `--templates` is a checkout (bare will do) of
yizhongw/self-instruct. Labels are those of the sources: a subject, a category, the task of a
template. Where a source has texts but not enough wordings of a request, requests are worded here;
the wordings are ours. Same files, same bytes.

Licences. MIT: MMLU, GSM8K, HumanEvalPack, NoveltyBench, diffuse-distributions, VITAL,
ValueConsistency, DuoRC, CommonGen. CC BY 4.0: the Habermas Machine's questions, IssueBench, MGSM,
AmbiEnt, Quoref, ROPES, CosmosQA, QASC, QuaRel, QuaRTz. CC BY-SA: DBpedia, HotpotQA, WikiHop.
Apache-2.0: TruthfulQA, MT-Bench, Arena-Hard, multilingual Vicuna, self-instruct, the templates of
P3 (which come with self-instruct), the mirror of ARC (ARC itself CC BY-SA 4.0, not verified).
PAWS may be used for any purpose.
"""
import argparse, csv, gzip, io, json, os, random, subprocess, zipfile

from lexicon import CLUSTERS, ENGLISH, GOALS, LANGUAGE_NAMES, MATHS, OTHERS, WORDED
from wordings import APPS, LANGUAGES, REQUESTS, SUBJECTS, TRUTHFUL, TEMPLATES

# Examples of one class of one source: no source may drown the others.
MOST = 300


def rows_of(path):
    with open(path, encoding="utf8") as file:
        return [json.loads(line) for line in file]


def draw(rows, count):
    """A seeded draw that does not depend on what else is drawn."""
    rows = list(rows)
    return random.Random(len(rows)).sample(rows, min(count, len(rows)))


def example(source, prompt, completion="", task=None, domain=None):
    markers = {name: value for name, value in (("task", task), ("domain", domain)) if value}
    return {"source": source, "prompt": prompt, "completion": completion, "markers": markers}


def mmlu(root, part):
    for path in sorted(os.listdir(f"{root}/mmlu/{part}")):
        subject = path.rsplit("_", 1)[0]
        rows = list(csv.reader(open(f"{root}/mmlu/{part}/{path}", encoding="utf8")))
        for row in draw(rows, MOST):
            question, options, answer = row[0], row[1:5], "ABCD".index(row[5])
            if len(question) % 2:
                letters = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", options))
                question = f"{question}\n{letters}"
            yield subject, question, options[answer]


def mgsm(root, language):
    path = f"{root}/mgsm/mgsm_{language}.tsv"
    return list(csv.reader(open(path, encoding="utf8"), delimiter="\t", quoting=csv.QUOTE_NONE))


def code(root):
    """Four tasks on the functions of HumanEvalPack, as the pack defines them."""
    packs = {name: rows_of(f"{root}/humanevalpack/{name}/humanevalpack.jsonl")
             for name in ("python", "js", "java", "go", "cpp", "rust")}
    for name, rows in packs.items():
        others = packs["java" if name == "python" else "python"]
        for index, (row, other) in enumerate(zip(rows, others)):
            right = row["declaration"] + row["canonical_solution"]
            wrong = row["declaration"] + row["buggy_solution"]
            word = lambda task: REQUESTS[task][index % len(REQUESTS[task])]
            made = [
                ("CodeGeneration", row["instruction"], right),
                ("CodeGeneration", row["prompt"], row["canonical_solution"]),
                ("CodeFix", word("CodeFix").format(text=wrong, test=row["test"][:600]), right),
                ("CodeExplanation", word("CodeExplanation").format(text=right), row["docstring"]),
                ("CodeTranslation", word("CodeTranslation").format(text=right, language="Java" if name == "python" else "Python"),
                 other["declaration"] + other["canonical_solution"]),
            ]
            for task, prompt, completion in made[index % 2:]:
                yield example(f"humanevalpack/{name}", prompt, completion, task, "Code")


def worded(root, templates):
    """Our requests around texts of open sources, in several languages."""
    passages = [row["prompt"] for row in template(templates, "quoref_Given_Context_Answer_Question")]
    passages += [row["prompt"] for row in template(templates, "duorc_SelfRC_generate_question")]
    passages = [" ".join(text.split()[:150]) for text in passages]
    english = [row[0] for row in mgsm(root, "en")]
    texts = {"en": passages}
    for language in ("de", "es", "fr", "ja", "ru", "zh"):
        texts[language] = [row[0] for row in mgsm(root, language)][:125]
    for task in ("Summarization", "Rewrite", "InformationExtraction", "Classification"):
        for language, requests in LANGUAGES[task].items():
            each = 40 if language == "en" else 16
            for number, request in enumerate(requests):
                for text in texts[language][number * each:(number + 1) * each]:
                    yield example("worded/" + task, request.format(text=text), "", task)
    for task in ("Explanation", "CreativeWriting", "OpenEnded"):
        for language, requests in LANGUAGES[task].items():
            lexicon = ENGLISH if language == "en" else OTHERS[language]
            for domain, topics in lexicon.items():
                # Three wordings of a topic in English, two elsewhere.
                for index, topic in enumerate(topics.split("; ")):
                    for step in range(3 if language == "en" else 2):
                        request = requests[(index + step) % len(requests)]
                        known = domain if task != "CreativeWriting" else None
                        yield example("worded/" + task, request.format(text=topic), "", task, known)
    for (task, domain), requests in WORDED.items():
        for index, goal in enumerate(GOALS * 2):
            for step, request in enumerate(requests):
                name = LANGUAGE_NAMES[(index + step) % len(LANGUAGE_NAMES)]
                yield example("worded/" + task, request.format(language=name, goal=goal), "", task, domain)
    for number in range(2, 22):
        for request in MATHS:
            prompt = request.replace("{a}", str(number)).replace("{b}", str(number * 3 % 17 + 4))
            yield example("worded/Math", prompt, "", "Reasoning", "Math")
    for language, name in (("de", "German"), ("es", "Spanish"), ("fr", "French"), ("ja", "Japanese"), ("ru", "Russian"), ("zh", "Chinese")):
        rows = mgsm(root, language)
        for index in range(0, 125):
            requests = LANGUAGES["Translation"]["en"]
            request = requests[index % len(requests)].format(text=english[index], language=name)
            yield example("worded/Translation", request, rows[index][0], "Translation")
            requests = LANGUAGES["Translation"].get(language, [])
            if requests and index < 40:
                request = requests[index % len(requests)].format(text=rows[index][0])
                yield example("worded/Translation", request, english[index], "Translation")


def template(repository, name):
    path = f"HEAD:data/finetuning/t0_train_50k/data_per_template/{name}.jsonl"
    shown = subprocess.run(["git", "-C", repository, "show", path], capture_output=True, check=True)
    return [json.loads(line) for line in shown.stdout.decode("utf8").splitlines()]


def fit(root, templates):
    for index, (subject, question, answer) in enumerate(mmlu(root, "test")):
        # Few of them for the task: whatever is strange would look like an examination.
        task = "QuestionAnswering" if index % 10 == 0 else None
        yield example("mmlu/test/" + subject, question, answer, task, SUBJECTS[subject])
    with open(f"{root}/gsm8k/train.jsonl", encoding="utf8") as file:
        for row in draw([json.loads(line) for line in file], 2 * MOST):
            yield example("gsm8k", row["question"], row["answer"], "Reasoning", "Math")
    for language in ("de", "es", "ja", "ru"):
        for row in mgsm(root, language)[:125]:
            yield example("mgsm/" + language, row[0], "", "Reasoning", "Math")
    for row in rows_of(f"{root}/arena_hard/arena-hard-v0.1/question.jsonl"):
        words = row["cluster"].replace(",", "").replace("-", " ").split()
        named = [domain for domain, names in CLUSTERS.items() if set(names.split()) & set(words)]
        if named:
            yield example("arena-hard-v0.1", row["prompt"], "", None, named[0])
    yield from code(root)
    yield from worded(root, templates)
    for name, (task, domain) in TEMPLATES.items():
        most = 25 if task == "QuestionAnswering" else 60
        for row in draw(template(templates, name), most):
            yield example("p3/" + name, row["prompt"], row["completion"], task, domain)
    for row in draw(json.load(open(f"{root}/VITAL/dataset/vital_distributional_globalopinionqa.json")), MOST):
        yield example("vital", row["question"].split("Options:")[0].removeprefix("Question: "), "", None, "Medical")
    for row in draw(json.load(open(f"{root}/habermas_data/230118_chinchilla_questions.json")), MOST):
        yield example("habermas", row["question"], "", "OpenEnded", "SocialSciences")
    for row in draw(csv.DictReader(open(f"{root}/issuebench/prompts_debug.csv", encoding="utf8")), MOST):
        yield example("issuebench", row["prompt_text"], "", None, "SocialSciences")
    for path in sorted(os.listdir(f"{root}/valueconsistency")):
        for row in draw(rows_of(f"{root}/valueconsistency/{path}"), 40):
            yield example("valueconsistency/" + path, row["question"], "", "OpenEnded", "SocialSciences")
    kinds = {"Creativity": "CreativeWriting", "Factual Knowledge": "QuestionAnswering"}
    for row in rows_of(f"{root}/noveltybench/curated.jsonl"):
        for prompt in [row["prompt"]] + row["prompt_paraphrases"][:5]:
            yield example("noveltybench", prompt, "", kinds.get(row["category"], "OpenEnded"), "Unspecified")
    for row in draw(rows_of(f"{root}/ambient/AmbiEnt/ambient_full.jsonl"), MOST):
        request = draw(REQUESTS["Inference"], 1)[0]
        prompt = request.format(text=row["premise"], other=row["hypothesis"])
        yield example("ambient", prompt, row["labels"], "Classification", "Unspecified")


def truthful(root):
    for row in csv.DictReader(open(f"{root}/truthfulqa/TruthfulQA.csv", encoding="utf8")):
        domain = TRUTHFUL.get(row["Category"])
        yield example("truthfulqa", row["Question"], row["Best Answer"], "QuestionAnswering", domain)


def choose(root, _):
    yield from truthful(root)
    kinds = {"coding": ("CodeGeneration", "Code"), "math": ("Reasoning", "Math"),
             "creative_writing": ("CreativeWriting", None)}
    for row in rows_of(f"{root}/arena_hard/arena-hard-v2.0/question.jsonl"):
        task, domain = kinds[row["subcategory"]]
        yield example("arena-hard/" + row["subcategory"], row["prompt"], "", task, domain)


def test(root, templates):
    unseen = {path.rsplit("_", 1)[0] for path in os.listdir(f"{root}/mmlu/test")}
    for subject, question, answer in mmlu(root, "dev"):
        if subject not in unseen:
            yield example("mmlu/dev/" + subject, question, answer, "QuestionAnswering", SUBJECTS[subject])
    kinds = {"writing": ("CreativeWriting", None), "math": ("Reasoning", "Math"),
             "reasoning": ("Reasoning", None), "coding": ("CodeGeneration", "Code"),
             "extraction": ("InformationExtraction", None), "stem": ("Explanation", "Sciences")}
    for row in rows_of(f"{root}/mt_bench/question.jsonl"):
        if row["category"] in kinds:
            yield example("mt-bench", row["turns"][0], "", *kinds[row["category"]])
    kinds = {"writing": ("CreativeWriting", None), "math": ("Reasoning", "Math"),
             "fermi": ("Reasoning", None), "coding": ("CodeGeneration", "Code"),
             "knowledge": ("Explanation", None)}
    for path in sorted(os.listdir(f"{root}/vicuna_multilingual")):
        for row in rows_of(f"{root}/vicuna_multilingual/{path}"):
            if row["category"] in kinds:
                yield example("vicuna/" + path[10:-6], row["text"], "", *kinds[row["category"]])
    for language in ("bn", "en", "fr", "sw", "te", "th", "zh"):
        for row in mgsm(root, language)[125:]:
            yield example("mgsm/" + language, row[0], "", "Reasoning", "Math")
    shown = subprocess.run(["git", "-C", templates, "show", "HEAD:human_eval/user_oriented_instructions.jsonl"],
                           capture_output=True, check=True)
    for line in shown.stdout.decode("utf8").splitlines():
        row = json.loads(line)
        if row["motivation_app"] in APPS:
            text = row["instances"][0]
            prompt = row["instruction"] + ("\n\n" + text["input"] if text["input"] else "")
            yield example("self-instruct", prompt, text["output"], *APPS[row["motivation_app"]])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("root")
    arguments.add_argument("out")
    arguments.add_argument("--templates", required=True)
    given = arguments.parse_args()
    os.makedirs(given.out, exist_ok=True)
    for part in (fit, choose, test):
        with open(f"{given.out}/{part.__name__}.jsonl", "w", encoding="utf8") as file:
            for index, row in enumerate(part(given.root, given.templates)):
                # Half of the requests stand alone: a tagger must not lean on answers.
                if part is fit and index % 2:
                    row["completion"] = ""
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
