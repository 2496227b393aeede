"""How rows are divided: by chance, by groups, forward in time, with copies together."""

import jax
import numpy as np
import pandas as pd
import pytest

from experiments import partition, suspicions, tabular
from jaxdl.data import TableError, load, load_table, read_rows


def divided(frame, key=0, **roles):
    """The rows of a DataFrame and their Partition; the target is the last column."""
    rows = read_rows(frame, roles={name: role for role, name in roles.items()})
    return rows, partition.divide(rows, 0.25, jax.random.key(key))


def patients(n=40, each=6, effect=3.0, seed=0):
    """Rows of patients whose answers are alike; ``each`` rows a patient."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), each)
    return pd.DataFrame({
        "patient_id": [f"P{w}" for w in who],
        "a": rng.normal(size=n * each),
        "y": effect * rng.normal(size=n)[who] + rng.normal(size=n * each),
    })  # fmt: skip


def series(n=200, seed=0, step=1):
    """A walk, its days in random order."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2021-03-01", periods=n, freq=f"{step}D").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": days, "a": rng.normal(size=n), "y": rng.normal(size=n).cumsum()})
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def test_groups_are_on_one_side_of_the_split_and_of_each_fold():
    frame = patients()
    rows, found = divided(frame, groups="patient_id")
    who = frame["patient_id"].to_numpy()
    train, test = found.split.train, found.split.test
    assert sorted([*train, *test]) == list(range(240)) and len(test) == 60
    assert not set(who[train]) & set(who[test])
    folds, said = partition.make_folds(found, rows.y[train], "regress", None, jax.random.key(1))
    assert len(folds) == 5 and not said
    for fold in folds:
        assert not set(who[train][fold.train]) & set(who[train][fold.valid])
    assert "rows of one 'patient_id' stay together: 40 groups" in found.notes
    units = found.units()
    assert len(np.unique(units)) == len(set(who[test])) == 10
    assert len({(u, w) for u, w in zip(units, who[test], strict=True)}) == 10
    assert suspicions.found(rows, found) == []


def test_a_column_of_groups_is_no_feature_unless_asked_for():
    frame = patients(10)
    rows, found = divided(frame, groups="patient_id")
    data = tabular.encoded(rows, found.split.train)
    assert data.feature_names == ("a",)
    becomes = data.columns[0]["becomes"]
    assert becomes.startswith("left out: it tells which rows belong together")
    assert "--as patient_id=category" in becomes
    asked = read_rows(frame, roles={"patient_id": "groups"}, kinds={"patient_id": "category"})
    assert "patient_id=P0" in tabular.encoded(asked).feature_names


def test_rows_without_a_group_are_each_on_their_own():
    frame = patients(5, 4)
    frame.loc[[0, 7, 13], "patient_id"] = None
    labels, said = partition.groups_of(read_rows(frame).table, "patient_id")
    assert said == (
        "rows of one 'patient_id' stay together: 8 groups; 3 rows without one are each on their own"
    )
    assert np.unique(labels, return_counts=True)[1].tolist() == [3, 3, 4, 3, 4, 1, 1, 1]
    numbers = frame.assign(patient_id=np.where(frame["patient_id"].isna(), np.nan, 7.0))
    labels, _ = partition.groups_of(read_rows(numbers).table, "patient_id")
    assert np.unique(labels, return_counts=True)[1].tolist() == [17, 1, 1, 1]


def test_the_test_part_is_the_latest_rows_and_folds_go_forward():
    frame = series()
    rows, found = divided(frame, time="day")
    train, test = found.split.train, found.split.test
    day = frame["day"].to_numpy()
    assert len(test) == 50 and max(day[train]) < min(day[test])
    folds, _ = partition.make_folds(found, rows.y[train], "regress", 4, jax.random.key(1))
    assert [len(f.train) for f in folds] == [30, 60, 90, 120]
    for fold in folds:
        assert max(day[train][fold.train]) < min(day[train][fold.valid])
    blocks = found.units()
    assert np.unique(blocks, return_counts=True)[1].tolist() == [8, 7, 7, 7, 7, 7, 7]
    assert (np.diff(blocks[np.argsort(day[test])]) >= 0).all()


def test_of_the_time_only_what_comes_round_again_is_a_feature():
    """Days that go on for ever are beyond what a model was trained on; weekdays are not."""
    short, long = series(200), series(600)
    for frame, parts in ((short, {"weekday"}), (long, {"weekday", "month"})):
        rows, found = divided(frame, time="day")
        names = tabular.encoded(rows, found.split.train).feature_names
        assert set(names) == {"a"} | {f"day ({p}, {f})" for p in parts for f in ("sine", "cosine")}
    plain = load_table(short).feature_names
    assert "day (days)" in plain and "day (month, sine)" in plain
    asked = read_rows(short, roles={"day": "time"}, kinds={"day": "date"})
    assert tabular.encoded(asked).feature_names == plain
    yearly = short.assign(day=np.arange(200) // 50 + 1990.0)
    rows, found = divided(yearly, time="day")
    assert tabular.encoded(rows, found.split.train).feature_names == ("a",)
    assert np.array_equal(np.unique(yearly["day"][found.split.test]), [1993.0])
    days = short.assign(day=pd.date_range("2024-01-01", periods=200, freq="20min").astype(str))
    rows, found = divided(days, time="day")
    line = tabular.encoded(rows, found.split.train).columns[0]["becomes"]
    assert line == "hour"  # two days of training
    week = short.assign(day=short["day"].str.replace("2021-..-.(.)", r"2021-01-0\1", regex=True))
    week = week[~week["day"].str.endswith("0")]
    rows, found = divided(week, time="day")
    line = tabular.encoded(rows, found.split.train).columns[0]["becomes"]
    assert line.endswith("it puts the rows in order, and the training part does not go round once")


def test_rows_without_a_time_are_left_out_and_told_of():
    frame = series(80)
    frame.loc[[3, 30], "day"] = None
    _, found = divided(frame, time="day")
    assert not {3, 30} & {*found.split.train, *found.split.test}
    assert len(found.split.train) + len(found.split.test) == 78
    assert "2 rows have no 'day': left out" in found.notes


def numbered(x, y):
    return pd.DataFrame({"a": x, "b": x**2, "y": y})


def test_copies_stay_together():
    """A file that was written twice; by chance three of four test rows would have a twin."""
    x = np.random.default_rng(0).normal(size=100)
    frame = numbered(np.tile(x, 2), np.tile(x > 0, 2).astype(int))
    rows, found = divided(frame)
    assert found.duplicates["rows"] == found.duplicates["same_answer"] == 200
    assert found.duplicates["together"] and found.duplicates["across"] == 0
    train = found.split.train
    assert not set(train % 100) & set(found.split.test % 100)
    assert abs(np.mean(rows.y[found.split.test]) - np.mean(rows.y)) < 0.04
    folds, _ = partition.make_folds(found, rows.y[train], "classify", None, jax.random.key(1))
    for fold in folds:
        assert not set(train[fold.train] % 100) & set(train[fold.valid] % 100)
        assert abs(np.mean(rows.y[train][fold.valid]) - np.mean(rows.y[train])) < 0.06
    assert len(np.unique(found.units())) == len(found.split.test) / 2
    (note,) = found.notes
    assert note == (
        "200 rows have the features of another row, 200 its answer too: like rows stay together in "
        "the split and the folds"
    )


def test_few_like_rows_stay_together_whatever_their_answers():
    x = np.random.default_rng(0).normal(size=200)
    x[:4] = x[4:8]
    y = np.arange(200) % 2
    y[:4], y[4:8] = 0, [0, 0, 1, 1]
    for seed in range(5):
        _, found = divided(numbered(x, y), seed)
        assert found.duplicates == {
            "rows": 8, "same_answer": 4, "share": 0.04, "together": True,
            "across": 0, "across_same_answer": 0,
        }  # fmt: skip
        assert found.units() is None


def test_combinations_of_few_values_recur_and_are_no_copies():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 240))
    for y in ((rng.random(240) < 0.3 + 0.2 * a).astype(int), a + 3 * b):  # also where y is certain
        _, found = divided(pd.DataFrame({"a": a, "b": b + 0.5, "y": y}))
        assert not found.duplicates["together"] and found.units() is None
        assert len(found.split.test) == 60
        test = found.split.test
        pairs = {*zip(a[found.split.train], b[found.split.train], strict=True)}
        across = sum((a[i], b[i]) in pairs for i in test)
        assert found.duplicates["across"] == across > 50
        (note,) = found.notes
        assert "they recur too often to be copies, so" in note and f"{across} of 60 test" in note


def test_identical_rows_by_pandas():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 4, (300, 4)).astype(float))
    frame = frame.mask(frame == 3)
    found = partition.identical([frame[c].to_numpy() for c in frame])
    expected = frame.groupby(list(frame), dropna=False).ngroup().to_numpy()
    first = {}
    assert found.tolist() == [first.setdefault(g, i) for i, g in enumerate(expected)]


def test_few_rows_have_folds_that_are_drawn_anew():
    x = np.random.default_rng(0).normal(size=48)
    y = (np.arange(48) % 2).astype(int)
    rows, found = divided(numbered(x, y))
    labels = rows.y[found.split.train]
    folds, said = partition.make_folds(found, labels, "classify", None, jax.random.key(1))
    assert said == ["48 rows are few: 5 folds, drawn 5 times anew"] and len(folds) == 25
    for r in range(5):
        held = np.concatenate([f.valid for f in folds[5 * r : 5 * r + 5]])
        assert sorted(held) == list(range(36))
    assert len({tuple(f.valid) for f in folds}) == 25
    asked, said = partition.make_folds(found, labels, "classify", 3, jax.random.key(1))
    assert len(asked) == 3 and not said
    large, found = divided(numbered(np.random.default_rng(0).normal(size=52), np.arange(52) % 2))
    folds, said = partition.make_folds(
        found, large.y[found.split.train], "classify", None, jax.random.key(1)
    )
    assert len(folds) == 5 and not said


def test_folds_that_lack_a_class_are_told_of():
    frame = patients(20, 10)
    frame["y"] = np.where(np.arange(200) % 100 == 0, "rare", "common")
    rows, found = divided(frame, groups="patient_id")
    y = rows.y[found.split.train]
    (rare,) = {min(np.bincount(y))}
    folds, said = partition.make_folds(found, y, "classify", None, jax.random.key(1))
    without = sum(y[f.valid].min() == y[f.valid].max() for f in folds)
    assert 0 < rare <= 2 and without == 5 - rare
    assert f"{without} of 5 folds lack a class to validate on" in said
    assert ("1 of 5 folds lack a class to train on" in said) == (rare == 1)

    frame = series(100)
    frame["y"] = np.where(frame["day"] < "2021-04-20", "old", "new")  # the first 50 of 75
    rows, found = divided(frame, time="day")
    y = rows.y[found.split.train]
    _, said = partition.make_folds(found, y, "classify", 4, jax.random.key(1))
    # Blocks of 15: trained on 15, 30, 45 and 60; validated on the next 15.
    assert said == [
        "3 of 4 folds lack a class to train on",
        "3 of 4 folds lack a class to validate on",
    ]


def test_two_kinds_of_rows_are_not_two_groups():
    """With one of them held out the other would be all there is."""
    x = np.arange(8.0) % 2
    _, found = divided(numbered(x, x.astype(int)))
    assert not found.duplicates["together"]
    assert len(set(x[found.split.train])) == len(set(x[found.split.test])) == 2


def test_as_many_folds_as_there_are_groups_for():
    rows, found = divided(patients(5, 20), groups="patient_id")
    y = rows.y[found.split.train]
    folds, said = partition.make_folds(found, y, "regress", None, jax.random.key(1))
    assert len(folds) == 4 and said == ["4 folds, since there are 4 groups"]
    with pytest.raises(
        ValueError, match=r"6 folds need as many groups of 'patient_id' .* too few, 4"
    ):
        partition.make_folds(found, y, "regress", 6, jax.random.key(1))


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"groups": "patient"}, r"no column 'patient' \(is it 'patient_id'\?\); the columns are"),
        ({"time": "Day"}, r"no column 'Day' \(is it 'day'\?\)"),
        ({"groups": "y"}, "'y' is the target; groups needs a column beside it"),
        (
            {"groups": "ward"},
            "too few groups of 'ward', 2: one is needed to test on, two to choose by",
        ),
        ({"time": "patient_id"}, "'patient_id' holds neither dates nor numbers"),
        ({"time": "clock"}, "'clock' holds neither dates nor numbers"),
        ({"time": "phase"}, "too few different times of 'phase', 3: one"),
    ],
)
def test_what_cannot_divide_the_rows_is_one_line(roles, message):
    frame = patients(10)
    k = np.arange(len(frame))
    frame.insert(1, "day", pd.date_range("2021-01-01", periods=len(frame)).astype(str))
    frame.insert(1, "ward", np.array(["north", "south"])[k % 2])
    frame.insert(1, "phase", k % 3 + 0.5)
    frame.insert(1, "clock", [f"{h % 24:02}:15" for h in k])
    with pytest.raises(TableError, match=message):
        divided(frame, **roles)


def test_data_sets_that_come_along_have_no_groups():
    with pytest.raises(ValueError, match="iris has no column for groups; a file may"):
        tabular.load_rows("iris", roles={"a": "groups"})
    found = partition.divide(load("iris"), 0.25, jax.random.key(0))
    assert found.duplicates["rows"] == 2  # rows 102 and 143, as is well known
    assert suspicions.found(load("iris"), found) == []
