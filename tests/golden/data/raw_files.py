"""Writes the SPSS and Arrow files of table/tests.rs, and what an independent reader finds in them.

    python raw_files.py        (needs pandas, pyreadstat and pyarrow; writes beside itself)
"""

import datetime
import decimal
import json
import math
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
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

    # More than the four megabytes that a block holds.
    ids = range(20_000)
    many = pd.DataFrame({"id": [float(i % 7) for i in ids], "words": [f"word {i % 7} " * 30 for i in ids]})
    pyreadstat.write_sav(many, str(HERE / "blocks.zsav"), compress=True)


def arrow():
    day, zone = datetime.date(2024, 2, 29), datetime.timezone.utc
    moment = datetime.datetime(1999, 12, 31, 23, 59, 59, 250_000)
    table = pa.table({
        "id": pa.array([1, 2, 3], pa.int32()),
        "word": pa.array(["Zoë", None, "x\ny"], pa.large_string()),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "share": pa.array([0.5, math.nan, None], pa.float32()),
        "truth": pa.array([True, None, False]),
        "list": pa.array([["p", None], [], None], pa.list_(pa.string())),
        "struct": pa.array([{"a": 1, "b": [1.5]}, None, {"a": None, "b": []}]),
        "day": pa.array([day, None, day]),
        "moment": pa.array([moment.replace(tzinfo=zone), None, None], pa.timestamp("us", tz="UTC")),
        "price": pa.array([decimal.Decimal("-12.30"), None, decimal.Decimal("0.05")], pa.decimal128(9, 2)),
        "big": pa.array([2**63, 0, None], pa.uint64()),
    })
    pa.feather.write_feather(table, str(HERE / "file.feather"), compression="lz4")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(str(HERE / "stream.arrow"), table.schema, options=options) as out:
        for start in range(table.num_rows):
            out.write_table(table.slice(start, 1))
    odd = pa.table({"wait": pa.array([1], pa.duration("s"))})
    with pa.ipc.new_stream(str(HERE / "odd.arrow"), odd.schema) as out:
        out.write_table(odd)

    def cell(value):
        """As SQLite gives a value: nested ones as JSON text."""
        if value is None or value != value:
            return None
        if isinstance(value, (list, dict)):
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, datetime.datetime):
            return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}+00:00"
        if isinstance(value, (datetime.date, decimal.Decimal)):
            return str(value)
        return str(value) if isinstance(value, int) and value >= 2**63 else value

    rows = [[cell(value) for value in row.values()] for row in table.to_pylist()]
    (HERE / "arrow.json").write_text(json.dumps({"rows": rows}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


spss()
arrow()
