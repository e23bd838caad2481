"""Writes the SPSS files of table/tests.rs, and what an independent reader finds in them.

    python raw_files.py        (needs pandas and pyreadstat; writes beside itself)
"""

import json
import math
from pathlib import Path

import pandas as pd
import pyreadstat

HERE = Path(__file__).parent

people = pd.DataFrame({
    "id": [1.0, 2.0, 3.0, 400.0],
    "name": ["Zoë", "a name that is longer than eight bytes", "", "Bo"],
    "Q_long_name": [1.0, -2.0, math.nan, 2.0],
    "share": [0.25, -17.5, 1e300, math.nan],
    "town": ["A", "B", "A", ""],
})
said = {
    "column_labels": ["Number", "Name", "Is the sky blue?", "", "Town"],
    "variable_value_labels": {
        "Q_long_name": {-2.0: "No answer", -1.0: "Don't know", 1.0: "Yes, it is", 2.0: "Nö"},
        "town": {"A": "Aville", "B": "Béville"},
    },
    "missing_ranges": {"Q_long_name": [{"lo": -5, "hi": -1}]},
}


def spss():
    for name, options in [("plain", {}), ("packed", {"row_compress": True}), ("zipped", {"compress": True})]:
        pyreadstat.write_sav(people, str(HERE / f"{name}.sav"), **said, **options)
    table, about = pyreadstat.read_sav(str(HERE / "packed.sav"), user_missing=True)

    def cell(value):
        if value == "" or value != value:
            return None
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 9e15 else value

    labels = []
    for variable, values in about.variable_value_labels.items():
        ranges = about.missing_ranges.get(variable, [])
        for code, label in values.items():
            missing = any(span["lo"] <= code <= span["hi"] for span in ranges)
            labels.append([variable, about.column_names_to_labels[variable], cell(code), label, int(missing)])
    cases = [[cell(value) for value in row] for row in table.itertuples(index=False)]
    text = json.dumps({"cases": cases, "labels": labels}, ensure_ascii=False, indent=1)
    (HERE / "sav.json").write_text(text + "\n", encoding="utf-8")


spss()
