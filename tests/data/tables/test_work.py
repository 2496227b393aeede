"""How much is done for a table: a pass over its texts, not one for each question asked of them."""

import collections

import pandas as pd
import pytest

from jaxdl.data import load_table
from jaxdl.data.tables import date_forms, dialect, number_formats

ROWS = 3000
SAMPLES = 2 * number_formats._SAMPLE * 7  # of 7 formats


def counted(monkeypatch, module, name, counts):
    function = getattr(module, name)

    def call(*args, **options):
        counts[name] += 1
        return function(*args, **options)

    monkeypatch.setattr(module, name, call)


@pytest.fixture
def cells(monkeypatch):
    """How many cells are parsed, as numbers and as dates."""
    counts = collections.Counter()
    for name, module in (("numbers", number_formats), ("dates", date_forms)):
        parse = module.parse

        def call(texts, *how, name=name, parse=parse):
            counts[name] += len(texts)
            return parse(texts, *how)

        monkeypatch.setattr(module, "parse", call)
    return counts


@pytest.fixture
def calls(monkeypatch):
    counts = collections.Counter()
    counted(monkeypatch, number_formats, "parse", counts)
    counted(monkeypatch, date_forms, "parse", counts)
    counted(monkeypatch, date_forms, "_part", counts)
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


def test_a_feature_is_parsed_once(tmp_path, cells):
    path = write(tmp_path, {"price": [f"${k * k}" for k in K], "y": [k % 2 for k in K]})
    load_table(path, missing="drop")
    assert ROWS <= cells["numbers"] <= ROWS + SAMPLES


def test_a_target_is_parsed_once(tmp_path, cells):
    path = write(tmp_path, {"x": [k % 7 for k in K], "price": [f"${k * k}" for k in K]})
    load_table(path)
    assert ROWS <= cells["numbers"] <= ROWS + SAMPLES


def test_a_date_is_parsed_once_and_tried_as_nothing_else(tmp_path, cells):
    days = [f"{k % 28 + 1} Mar {1900 + k // 28}" for k in K]
    load_table(write(tmp_path, {"t": days, "y": [k % 2 for k in K]}))
    assert ROWS <= cells["dates"] <= ROWS + 4 * date_forms._SAMPLE
    assert cells["numbers"] < 200  # by the look for a header, among a hundred rows


def test_what_is_no_number_is_given_up_soon(tmp_path, cells):
    names = [f"Jane {k} of {k}" for k in K]
    load_table(write(tmp_path, {"who": names, "x": [k % 7 for k in K], "y": [k % 2 for k in K]}))
    assert cells["numbers"] <= SAMPLES + ROWS / 5


def test_texts_that_differ_in_digits_alone_are_matched_once(calls):
    """A hundred thousand times of day are two of one shape, whose three parts are cut once."""
    texts = [f"{k // 3600}:{k // 60 % 60:02d}:{k % 60:02d}" for k in range(24 * 3600)]
    assert date_forms.parse(texts, "time").tolist() == [*range(24 * 3600)]
    assert calls["_part"] == 2 * 3


def test_columns_of_one_shape_are_matched_once(tmp_path):
    """Of three hundred columns of dates the third is matched no more, whatever the days are."""
    date_forms._match.cache_clear()
    date_forms._forms_of_shape.cache_clear()
    days = {f"d{j}": [f"20{j % 90 + 10}-03-{k + 1:02d}" for k in range(20)] for j in range(300)}
    load_table(write(tmp_path, days | {"y": [k % 2 for k in range(20)]}))
    assert date_forms._match.cache_info().misses <= len(date_forms.FORMS)
    assert date_forms._forms_of_shape.cache_info().misses <= 3  # names and numbers have one too


def test_what_is_kept_of_shapes_is_bounded():
    long = "1" * 61 + "-"
    misses = lambda: [
        f.cache_info().misses for f in (date_forms._match, date_forms._forms_of_shape)
    ]
    before = misses()
    assert date_forms.find_form([long, long]) is None and misses() == before


def test_wide_tables_are_not_looked_at_whole_for_names(tmp_path, calls):
    """Nor is a date among thousands parsed more often than one that stands alone."""
    dates = {f"d{j}": [f"{k + 1}/{j % 12 + 1}/2024" for k in range(20)] for j in range(300)}
    load_table(write(tmp_path, dates | {"y": [k % 2 for k in range(20)]}))
    assert calls["parse"] <= 300 * 2 + dialect._LOOKED_AT * 4


def test_a_file_of_plain_columns_is_cut_once(tmp_path, calls):
    columns = {f"x{j}": [k * j % 19 / 8 for k in K] for j in range(5)}
    load_table(write(tmp_path, columns | {"c": ["uv"[k % 2] for k in K], "y": [k % 3 for k in K]}))
    assert calls["read_csv"] == 1
    late = {"z": ["1"] * 2000 + ["old"] * 1000}  # the guess of the first rows was wrong
    load_table(write(tmp_path, columns | late | {"y": [k % 3 for k in K]}))
    assert calls["read_csv"] == 3
