"""The benchmark does what it says, at a small size; nothing here looks at a clock."""

import json

import numpy as np
import pytest

from experiments.benchmarks import model_selection, peers, search, timing
from experiments.benchmarks.model_selection import Config, main
from experiments.benchmarks.timing import Row, table


@pytest.fixture(scope="module")
def work():
    x, y = timing.digits()
    x, y = x[:200], y[:200]
    folds = timing.stratified(y, 3)
    return peers.Work(x, y, folds, [1e-3, 1e-2], width=16, epochs=15, batch_size=32)


@pytest.mark.slow
def test_all_peers_learn_the_same_thing(work):
    ways = {
        "ours": model_selection._ours(work, 1)[3].scores["accuracy"].mean(2),
        "sklearn": peers.grid_search(work, 1),
        "loop": peers.jitted_loop(work)[0],
    }
    try:
        import torch  # noqa: F401
    except ImportError:
        pass
    else:
        ways["torch"] = peers.torch_loop(work, 1)
    for name, scores in ways.items():
        assert scores.shape == (2, 3), name
        slow, fast = scores.mean(1)
        assert 0.75 < fast < 1 and slow < fast, name
        np.testing.assert_allclose(fast, ways["ours"].mean(1)[1], atol=0.08, err_msg=name)


def test_leave_one_out_block_agrees_with_itself_and_is_written(tmp_path, capsys):
    rows = main(Config(only=("leave_one_out",), repeats=1, out=str(tmp_path / "b")))
    assert {row.result for row in rows} == {"RMSE 54.7883"}  # evidence: 54.7882546446
    written = json.loads((tmp_path / "b" / "model_selection.json").read_text())
    assert [Row(**row) for row in written["rows"]] == rows
    assert written["machine"]["cores"] >= 1 and written["config"]["repeats"] == 1
    text = (tmp_path / "b" / "model_selection.md").read_text()
    assert text in capsys.readouterr().out and text.count("\n") == 2 + len(rows)


def test_ratios_are_to_the_first_row_of_a_block():
    rows = [Row("a", "ours", 2.0, 1.0, 3.0, ""), Row("a", "peer", 8.0, 0.0, 9.0, ""),
            Row("b", "ours", 1.0, 0.0, 1.0, "")]  # fmt: skip
    times = [line.split("|")[6].strip() for line in table(rows).splitlines()[2:]]
    assert times == ["1.0", "4.0", "1.0"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("mlps",)}, "only takes mlp, .*, not 'mlps'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"settings": 0}, "settings must be at least 1, not 0"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(**settings, out=str(tmp_path / "b")))
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_script_with_two_lines_changed_finds_as_good_a_network(tmp_path):
    rows = search.main(
        search.Config(rates=1, penalties=1, epochs=4, jobs=1, out=str(tmp_path / "s"))
    )
    ours, theirs = (float(row.result.split()[1].rstrip(",")) for row in rows)
    assert len(rows) == 2 and ours > 0.5 and abs(ours - theirs) < 0.1
    assert rows[0].total >= rows[0].compile > 0 == rows[1].compile
    with pytest.raises(ValueError, match="jobs must be at least 1, not 0"):
        search.main(search.Config(jobs=0, out=str(tmp_path / "t")))
