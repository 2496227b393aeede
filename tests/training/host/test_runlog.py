"""Logs hold what was written, and what is no log is refused in one line."""

import csv
import json
import struct
import sys
import types

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import softmax_learner, three_classes

from jaxdl.model_selection import cross_validate
from jaxdl.training import RunLog, TensorBoardLog, fit, fit_stream, read_log
from jaxdl.training.host.runlog import COLUMNS, as_log

X, Y = three_classes(40)
LEARNER = softmax_learner({"rate": 0.3})
ENDINGS = pytest.mark.parametrize("ending", ["csv", "jsonl"])

whole = st.integers(-(2**40), 2**40)
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9)
rows = st.fixed_dictionaries(
    {"part": st.sampled_from(["train", "validation"]), "metric": text, "value": st.floats()},
    optional={"member": whole, "setting": whole, "fold": whole, "seed": whole,
              "settings": st.dictionaries(text, st.one_of(st.floats(allow_nan=False), text, whole)),
              "epoch": whole, "step": whole},
)  # fmt: skip


def assert_same_rows(ours, wanted):
    assert [row.keys() for row in ours] == [row.keys() for row in wanted]
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_equal({**a}, {**b})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@ENDINGS
@given(first=st.lists(rows, max_size=3), more=st.lists(rows, max_size=3))
def test_rows_come_back(folder, ending, first, more):
    log = RunLog(folder / f"log.{ending}")
    log.start(first)
    log.add(more)
    wanted = [*first, *more]
    if ending == "jsonl":  # JSON has no infinity
        finite = lambda v: v if np.isfinite(v) else np.nan
        wanted = [{**row, "value": finite(row["value"])} for row in wanted]
    assert_same_rows(read_log(log.path), wanted)


@given(written=st.lists(rows, min_size=1, max_size=4), data=st.data())
def test_a_log_cut_anywhere_gives_its_whole_lines(folder, written, data):
    """What a killed process may leave: no row is wrong, and only the last is missing."""
    log = RunLog(folder / "cut.csv")
    log.start(written)
    content = log.path.read_bytes()
    start = content.index(b"\n") + 1
    kept = content[: data.draw(st.integers(start, len(content)))]
    log.path.write_bytes(kept)
    whole_lines = kept.count(b"\n") - 1  # after the header
    assert_same_rows(read_log(log.path), written[:whole_lines])


def test_the_files_are_plain_csv_and_json(tmp_path):
    """As other programs read them."""
    row = {"member": 3, "settings": {"rate": 0.1}, "step": 7, "part": "train", "metric": "loss",
           "value": float("nan")}  # fmt: skip
    for ending in ("csv", "jsonl"):
        RunLog(tmp_path / f"log.{ending}").start([row])
    with open(tmp_path / "log.csv", newline="", encoding="utf-8") as file:
        (cells,) = csv.DictReader(file)
    assert tuple(cells) == COLUMNS
    assert (cells["member"], cells["fold"], cells["value"]) == ("3", "", "nan")
    assert json.loads(cells["settings"]) == {"rate": 0.1}
    strict = {"parse_constant": lambda name: pytest.fail(f"{name} is not JSON")}
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line, **strict) == {**row, "value": None}


@ENDINGS
def test_log_of_a_fit(ending, tmp_path):
    log = tmp_path / "made" / f"log.{ending}"
    how = {"validation": (X[30:], Y[30:]), "batch_size": 8, "evaluate_every": 2}
    result = fit(LEARNER, (X[:30], Y[:30]), key=jax.random.key(0), epochs=5, log=log, **how)
    told = {(r["part"], r["metric"], r["epoch"]): r for r in read_log(log)}
    assert len(told) == 5 + 3 * 2
    for epoch, loss in enumerate(result.history.loss, 1):
        row = told["train", "loss", epoch]
        assert row["step"] == 4 * epoch
        np.testing.assert_allclose(row["value"], loss, rtol=1e-6)
    for i, epoch in enumerate(result.history.epochs):
        for metric, curve in result.history.validation.items():
            np.testing.assert_allclose(
                told["validation", metric, int(epoch)]["value"], curve[i], rtol=1e-6
            )
    assert [p.name for p in log.parent.iterdir()] == [log.name]


def test_log_of_a_study_names_its_members(tmp_path):
    log = tmp_path / "log.csv"
    study = cross_validate(softmax_learner, {"rate": [0.1, 0.5]}, (X, Y), key=jax.random.key(0),
                           folds=2, seeds=2, epochs=2, log=log)  # fmt: skip
    told = [r for r in read_log(log) if r["part"] == "train"]
    assert len(told) == 2 * 2 * 2 * 2
    for row in told:
        assert row["settings"] == {"rate": pytest.approx([0.1, 0.5][row["setting"]])}
        loss = study.train_loss[row["setting"], row["fold"], row["seed"], row["epoch"] - 1]
        np.testing.assert_allclose(row["value"], loss, rtol=1e-6)
    assert len({(r["member"], r["epoch"]) for r in told}) == len(told)


def test_the_log_of_a_member_ends_where_it_diverged(tmp_path):
    """In its first epoch, in its second, or not at all."""
    cross_validate(softmax_learner, {"rate": [0.1], "bad": [0.0, 1.0, 99.0]}, (X, Y),
                   key=jax.random.key(0), folds=2, epochs=3, log=tmp_path / "log.csv")  # fmt: skip
    told = [r for r in read_log(tmp_path / "log.csv") if r["part"] == "train"]
    epochs = {
        s: [r["epoch"] for r in told if (r["setting"], r["fold"]) == (s, 1)] for s in range(3)
    }
    assert epochs == {0: [1], 1: [1, 2], 2: [1, 2, 3]}


# -- what is no log, and where none can be written


@pytest.mark.parametrize("name", ["log.txt", "log", "log.CSV", ""])
def test_other_endings_are_refused(name, tmp_path):
    for read in (RunLog, read_log):
        with pytest.raises(ValueError, match=r"a log is a \.csv or a \.jsonl file, not"):
            read(tmp_path / name if name else name)


def test_other_logs_are_refused():
    with pytest.raises(ValueError, match=r"log takes a \.csv or \.jsonl path"):
        as_log(7)
    with pytest.raises(ValueError, match=r"log takes a \.csv or \.jsonl path"):
        fit(LEARNER, (X, Y), key=jax.random.key(0), epochs=1, log=object())
    assert as_log(None) is None


HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "its first line is not member,setting"),
        ("a.csv", b"epoch,loss\n1,2\n", "its first line is not"),
        ("a.csv", b"\xff\xfe\x00\n", "codec can't decode"),
        ("a.csv", f"{HEADER}1,2\n".encode(), "line 2 has 2 cells, not 10"),
        ("a.csv", f"{HEADER},,,,,one,,train,loss,1\n".encode(), "invalid literal"),
        ("a.csv", f"{HEADER},,,,,1,,train,loss,high\n".encode(), "could not convert"),
        ("a.csv", f"{HEADER},,,,{{,1,,train,loss,1\n".encode(), "Expecting property name"),
        ("a.csv", f'{HEADER},,,,"a\nb\nc\n'.encode(), "line 2 has 5 cells, not 10"),
        ("a.csv", f"{HEADER},,,,\x00,1,,train,loss,1\n".encode(), "Expecting value"),
        ("a.jsonl", b'{"part": 1\n', "delimiter"),
        ("a.jsonl", b"[1]\n", "line 1 has not the fields"),
        ("a.jsonl", b'{"part": "train", "metric": "loss"}\n', "line 1 has not the fields"),
        ("a.jsonl", b'{"part": "train", "metric": "loss", "value": 1, "x": 2}\n', "has not the"),
        ("a.jsonl", b'{"part": "train", "metric": "loss", "value": "1"}\n', "has the value '1'"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "nests deeper"),
    ],
)
def test_what_is_no_log_is_refused(name, content, says, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"not a log \(.*{says}") as caught:
        read_log(path)
    assert str(caught.value).startswith(f"{path}: not a log (") and "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"log\.csv: not a log \(.*No such file"):
        read_log(tmp_path / "log.csv")


@ENDINGS
def test_where_nothing_can_be_written(ending, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        OSError, match=r"file/log.*: cannot write a log here \(.*(directory|exists)"
    ):
        RunLog(tmp_path / "file" / f"log.{ending}").start([])
    log = RunLog(tmp_path / f"log.{ending}")
    log.path.mkdir()
    row = {"part": "train", "metric": "loss", "value": 1.0}
    with pytest.raises(OSError, match="cannot write a log here"):
        log.start([row])
    with pytest.raises(OSError, match="cannot write a log here"):
        log.add([row])
    assert (tmp_path / "file").read_text() == "mine" and not list(log.path.iterdir())


def test_a_full_disk_ends_the_run_in_one_line():
    class Full(RunLog):
        def _write(self, file, rows):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"log\.csv: cannot write a log here \(No space left"):
        Full("/dev/shm/log.csv").add([])


# -- TensorBoard


class Writer:
    """A stand-in for tensorboardX's."""

    made = None

    def __init__(self, folder):
        self.folder, self.scalars, self.flushed = folder, [], 0
        Writer.made = self

    def add_scalar(self, tag, value, step):
        assert step is not None
        self.scalars.append((tag, value, step))

    def flush(self):
        self.flushed += 1


@pytest.fixture
def writer(monkeypatch):
    module = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)


@pytest.mark.usefixtures("writer")
def test_tensorboard_gets_each_number_once(tmp_path):
    data = (X[:30], Y[:30])
    result = fit(LEARNER, data, key=jax.random.key(0), epochs=3, validation=(X[30:], Y[30:]),
                 log=TensorBoardLog(tmp_path))  # fmt: skip
    scalars = Writer.made.scalars
    losses = [(value, step) for tag, value, step in scalars if tag == "train/loss"]
    np.testing.assert_allclose([v for v, _ in losses], result.history.loss, rtol=1e-6)
    assert [step for _, step in losses] == [1, 2, 3]
    assert {tag for tag, *_ in scalars} == {"train/loss", "validation/nll", "validation/accuracy"}
    for metric, curve in result.history.validation.items():
        told = [(value, step) for tag, value, step in scalars if tag == f"validation/{metric}"]
        np.testing.assert_allclose(told, list(zip(curve, (1, 2, 3), strict=True)), rtol=1e-6)
    assert Writer.made.flushed


@pytest.mark.usefixtures("writer")
def test_tensorboard_of_a_stream_counts_steps_and_of_a_study_names_members(tmp_path):
    fit_stream(LEARNER, [(X[:8], Y[:8])] * 4, key=jax.random.key(0), steps=4, evaluate_every=2,
               log=TensorBoardLog(tmp_path))  # fmt: skip
    assert [(tag, step) for tag, _, step in Writer.made.scalars] == [
        ("train/loss", 2), ("train/loss", 4)]  # fmt: skip
    cross_validate(softmax_learner, {"rate": [0.1, 0.5]}, (X, Y), key=jax.random.key(0),
                   folds=2, epochs=1, log=TensorBoardLog(tmp_path))  # fmt: skip
    tags = [tag for tag, *_ in Writer.made.scalars if tag.startswith("train")]
    assert sorted(tags) == [f"train/loss/{m}" for m in range(4)]


def test_without_tensorboard(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match=r"pip install 'jaxdl\[tensorboard\]'"):
        TensorBoardLog(tmp_path)


def scalars_of(folder):
    """(tag, value, step) from the records of a folder's event files: length, crc, content, crc."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                yield value.tag, value.simple_value, event.step


def test_files_that_tensorboard_reads(tmp_path):
    pytest.importorskip("tensorboardX")
    log = TensorBoardLog(tmp_path / "events")
    first = fit(LEARNER, (X, Y), key=jax.random.key(0), epochs=2, log=log)
    log._writer.close()  # it writes from a thread of its own
    told = list(scalars_of(tmp_path / "events"))
    assert [(tag, step) for tag, _, step in told] == [("train/loss", 1), ("train/loss", 2)]
    np.testing.assert_allclose([v for _, v, _ in told], first.history.loss, rtol=1e-6)
