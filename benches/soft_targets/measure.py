"""Steps to reach a given JS on unseen urns: drawn answers against all answers by probability.

    python benches/soft_targets/measure.py --binary target/release/diapason --out /tmp/soft --seeds 1 2 3

Trains the models of `recipe.toml`, evaluates every checkpoint on `align/urn`, and prints a table.
Whatever is finished in `--out` is used again.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess

HERE = pathlib.Path(__file__).parent
MODELS = ["sampled", "mixed", "soft"]
TARGETS = [0.1, 0.05, 0.03, 0.02]


def evaluated(binary: str, model: pathlib.Path, checkpoint: pathlib.Path, limit: int) -> float:
    """Mean JS in nats of a checkpoint, which becomes a model folder first."""
    for file in model.iterdir():
        if file.is_file() and file.name not in ("model.safetensors", "stamp.json", "begun.json"):
            shutil.copy(file, checkpoint / file.name)
    out = checkpoint / "evaluation"
    command = [binary, "--quiet", "eval", "--model", checkpoint, "--tasks", "align/urn"]
    command += ["--suite", HERE / "suite", "--limit", str(limit), "--out", out]
    if not (out / "stamp.json").exists():
        subprocess.run(list(map(str, command)), check=True)
    results = json.loads((out / "results.json").read_text())["results"]
    (tasks,) = results.values()
    return tasks["align/urn"]["js_nats"]["value"]


def curves(given: argparse.Namespace, seed: int) -> dict[str, dict[int, float]]:
    run = given.out / f"seed-{seed}"
    found: dict[str, dict[int, float]] = {}
    for name in MODELS:
        command = [given.binary, "train", HERE / "recipe.toml", "--model", name, "--out", run]
        subprocess.run([*map(str, command), "--set", f"seed={seed}"], check=True)
        model = run / "models" / name
        steps = sorted((model / "checkpoints").glob("step-??????"))
        found[name] = {
            int(path.name[5:]): evaluated(given.binary, model, path, given.limit) for path in steps
        }
    return found


def reached(curve: dict[int, float], target: float) -> int | None:
    """The first step from which on no checkpoint is worse than the target."""
    step = None
    for at in sorted(curve, reverse=True):
        if curve[at] > target:
            break
        step = at
    return step


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--limit", type=int, default=300)
    given = parser.parse_args()
    runs = {seed: curves(given, seed) for seed in given.seeds}
    (given.out / "curves.json").write_text(json.dumps(runs, indent=1))
    steps = sorted(next(iter(runs.values()))["soft"])
    print("| steps | " + " | ".join(f"{name}, JS (nats)" for name in MODELS) + " |")
    print("|---" * (1 + len(MODELS)) + "|")
    for step in steps:
        if step % 40 == 0 or step == steps[0]:
            means = [statistics.mean(run[name][step] for run in runs.values()) for name in MODELS]
            print(f"| {step} | " + " | ".join(f"{mean:.4f}" for mean in means) + " |")
    print("\n| JS at most | " + " | ".join(f"{name}, steps by seed" for name in MODELS) + " |")
    print("|---" * (1 + len(MODELS)) + "|")
    for target in TARGETS:
        by_model = [[reached(run[name], target) for run in runs.values()] for name in MODELS]
        cells = [", ".join("–" if at is None else str(at) for at in steps) for steps in by_model]
        print(f"| {target} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
