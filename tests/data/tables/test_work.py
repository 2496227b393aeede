"""How much is done for a table: a pass over its texts, not one for each question asked of them."""

import collections

import pandas as pd
import pytest

from jaxdl.data import load_table
from jaxdl.data.tables import date_forms, number_formats

ROWS = 3000
SAMPLES = 2 * number_formats._SAMPLE * 7  # of 7 formats


def counted(monkeypatch, module, name, counts):
    function = getattr(module, name)

    def call(*args, **options):
        counts[name] += 1
        return function(*args, **options)

    monkeypatch.setattr(module, name, call)


@pytest.fixture
def calls(monkeypatch):
    counts = collections.Counter()
    counted(monkeypatch, number_formats, "plain", counts)
    counted(monkeypatch, date_forms, "_seconds", counts)
    counted(monkeypatch, pd, "read_csv", counts)
    return counts


def write(folder, columns):
    rows = zip(*columns.values(), strict=True)
    path = folder / "t.csv"
    path.write_text(
        "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"
    )
    return path


K = range(ROWS)


def test_a_feature_is_parsed_once(tmp_path, calls):
    path = write(tmp_path, {"price": [f"${k * k}" for k in K], "y": [k % 2 for k in K]})
    load_table(path, missing="drop")
    assert ROWS <= calls["plain"] <= ROWS + SAMPLES


def test_a_target_is_parsed_once(tmp_path, calls):
    path = write(tmp_path, {"x": [k % 7 for k in K], "price": [f"${k * k}" for k in K]})
    load_table(path)
    assert ROWS <= calls["plain"] <= ROWS + SAMPLES


def test_a_date_is_parsed_once(tmp_path, calls):
    days = [f"{k % 28 + 1} Mar {1900 + k // 28}" for k in K]
    load_table(write(tmp_path, {"t": days, "y": [k % 2 for k in K]}))
    assert ROWS <= calls["_seconds"] <= ROWS + 4 * date_forms._SAMPLE


def test_what_is_no_number_is_given_up_soon(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(number_formats, "_BLOCK", 100)
    names = [f"Jane {k} of {k}" for k in K]
    load_table(write(tmp_path, {"who": names, "x": [k % 7 for k in K], "y": [k % 2 for k in K]}))
    assert calls["plain"] <= SAMPLES + ROWS / 10 + 100


def test_a_file_of_plain_columns_is_cut_once(tmp_path, calls):
    columns = {f"x{j}": [k * j % 19 / 8 for k in K] for j in range(5)}
    load_table(write(tmp_path, columns | {"c": ["uv"[k % 2] for k in K], "y": [k % 3 for k in K]}))
    assert calls["read_csv"] == 1 and calls["plain"] <= SAMPLES
    late = {"z": ["1"] * 2000 + ["old"] * 1000}  # the guess of the first rows was wrong
    load_table(write(tmp_path, columns | late | {"y": [k % 3 for k in K]}))
    assert calls["read_csv"] == 3
