"""Checkpoints: all of it or nothing, and never anything else than arrays."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import softmax_learner, three_classes

from jaxdl.training import Checkpoint, EarlyStopping, fit
from jaxdl.training.host import checkpoints


class Pair(NamedTuple):
    first: Any
    second: Any


def everything():
    """A tree of all that a run may carry."""
    return {
        "float": jnp.array([[1.5, -jnp.inf], [jnp.nan, 1e-45]], jnp.float32),
        "half": jnp.array([1 / 3, 65504.0], jnp.bfloat16),
        "count": jnp.array(-7, jnp.int32),
        "flags": jnp.array([True, False]),
        "large": np.array([2**63 - 1], np.int64),
        "double": np.array([1 / 3, 5e-324]),
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(4), 3),
        "other": jax.random.key(5, impl="rbg"),
        "empty": np.zeros((0, 3), np.float32),
        "pair": Pair((jnp.zeros(2), ()), None),
        "names / odd": [jnp.ones(1), {"ä['": jnp.ones((1, 2))}],
    }


def raw(leaf):
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def assert_equal(one, other):
    """The same structure, dtypes and bits."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert raw(a).tobytes() == raw(b).tobytes()


def save(folder, position=1, tree=None, about=None, score=None, **options):
    with checkpoints.opened(folder):
        tree = {"w": jnp.arange(4.0) + position} if tree is None else tree
        return checkpoints.save(
            Checkpoint(folder, **options), position, tree, about or {}, score=score
        )


def test_everything_comes_back(tmp_path):
    tree, about = everything(), {"kind": "test", "setting": {"rate": 0.1, "name": 'ü "\n'}}
    save(tmp_path, 12, tree, about)
    assert checkpoints.positions(tmp_path) == [12]
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
    for target in (tree, shapes):
        back, told = checkpoints.restore(tmp_path, 12, target)
        assert told == about
        assert_equal(back, tree)
    assert jax.random.key_impl(back["other"]) == jax.random.key_impl(tree["other"])


def test_the_first_axis_may_have_another_length(tmp_path):
    save(tmp_path, 1, {"loss": np.arange(5.0)})
    back, _ = checkpoints.restore(tmp_path, 1, {"loss": np.zeros(9)})
    np.testing.assert_array_equal(back["loss"], np.arange(5.0))


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_and_the_best_are_kept(keep, tmp_path):
    scores = [3.0, 1.0, None, 2.0, 1.0, 5.0]
    for position, score in enumerate(scores, 1):
        save(tmp_path, position, score=score, keep=keep)
    kept = {2, *range(7 - keep, 7)}
    assert checkpoints.positions(tmp_path) == sorted(kept)
    for position in kept:
        back, _ = checkpoints.restore(tmp_path, position, {"w": np.zeros(4, np.float32)})
        np.testing.assert_array_equal(back["w"], np.arange(4.0) + position)


def test_a_position_can_be_written_again(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 1, {"w": jnp.ones(4)})
    back, _ = checkpoints.restore(tmp_path, 1, {"w": np.zeros(4, np.float32)})
    np.testing.assert_array_equal(back["w"], np.ones(4))


def test_only_what_is_whole_counts(tmp_path):
    """What a killed process leaves half written is cleared away; other files stay."""
    whole = save(tmp_path, 5)
    halves = [tmp_path / f".saving-{name}" for name in ("9", "0000000009")]
    for half in halves:
        shutil.copytree(whole, half)
    (tmp_path / ".old-0000000004").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    mine = [".older", ".old-4", ".old-0000000004-mine", ".saving", ".saving-mine", ".oldest-1"]
    for name in mine:
        (tmp_path / name).mkdir()
    for name in ("17", "x0000000009", "0000000009.bak", "²", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "0000000099").write_text("a file")
    assert checkpoints.positions(tmp_path) == [5]
    with checkpoints.opened(tmp_path):
        left = {p.name for p in tmp_path.iterdir() if p.name.startswith(".")}
        assert left == {".lock", *mine}
    assert (tmp_path / "notes.txt").read_text() == "mine" and (tmp_path / "17").is_dir()
    assert checkpoints.positions(tmp_path / "nowhere") == []


def test_no_link_is_followed(tmp_path):
    """Neither the lock, which would be emptied, nor a folder of ours, nor a checkpoint or its files."""
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    save(elsewhere, 3)
    (elsewhere / "mine").write_text("precious")
    folder.mkdir()
    (folder / ".lock").symlink_to(elsewhere / "mine")
    with pytest.raises(OSError, match=r"cannot keep checkpoints here .*symbolic link"):
        save(folder)
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    with pytest.raises(OSError, match="its lock is not a regular file"):
        save(folder)
    (folder / ".lock").unlink()
    (folder / ".lock").write_text("what was there")
    for name in (".saving-0000000004", ".old-0000000005", "0000000003"):
        (folder / name).symlink_to(elsewhere / "0000000003")
    save(folder, 7)
    assert checkpoints.positions(folder) == [7]
    assert (folder / ".lock").read_text() == "what was there"
    assert (elsewhere / "mine").read_text() == "precious"
    assert_whole(elsewhere, 3)
    with pytest.raises(OSError, match="cannot write a checkpoint"):
        save(folder, 4)  # a link has the name that it is put together under
    for name in ("about.json", "arrays"):  # of a file, of a folder
        shutil.move(folder / "0000000007" / name, tmp_path / name)
        (folder / "0000000007" / name).symlink_to(tmp_path / name)
        with pytest.raises(ValueError, match="damaged"):
            assert_whole(folder, 7)
        (folder / "0000000007" / name).unlink()
        shutil.move(tmp_path / name, folder / "0000000007" / name)
    assert_whole(folder, 7)
    assert_whole(elsewhere, 3)


def test_a_death_between_two_renames_keeps_the_old_one(tmp_path, monkeypatch):
    """And one that was being discarded does not come back, in part or whole."""
    save(tmp_path, 1)
    save(tmp_path, 2)
    rename = Path.rename

    class Killed(BaseException):
        pass

    def dying(self, target):
        rename(self, target)
        raise Killed

    def killed(*args, **how):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(checkpoints.Path, "rename", dying)
            patch.setattr(checkpoints.shutil, "rmtree", lambda *a, **k: None)
            save(*args, **how)

    killed(tmp_path, 2, {"w": np.ones(4, np.float32)})
    assert checkpoints.positions(tmp_path) == [1]  # 2 is set aside, the new 2 has no name yet
    with checkpoints.opened(tmp_path):
        assert_whole(tmp_path, 1, 2)
    shutil.copytree(tmp_path / "0000000001", tmp_path / ".old-0000000009")
    with checkpoints.opened(tmp_path):
        assert_whole(tmp_path, 1, 2)  # what it says of itself is of another number
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoints.Path, "rename", dying)
        checkpoints._discard(tmp_path / "0000000002")
    with checkpoints.opened(tmp_path):
        assert_whole(tmp_path, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "0000000001"]


# -- of something else


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"v": np.zeros(4, np.float32)}, r"only one of the two has \['v'\], \['w'\]"),
        ({"w": np.zeros(4, np.float32), "b": np.zeros(())}, r"only one of the two has \['b'\]"),
        ({"w": np.zeros((4, 2), np.float32)}, r"\['w'\] is float32\[4\] there and float32\[4, 2\]"),
        ({"w": np.zeros(4, np.int32)}, r"float32\[4\] there and int32\[4\] here"),
        ({"w": jax.random.split(jax.random.key(0), 4)}, r"float32\[4\] there and key<fry>\[4\]"),
    ],
)
def test_another_model_is_refused(target, message, tmp_path):
    save(tmp_path, 3)
    with pytest.raises(ValueError, match=message) as caught:
        checkpoints.restore(tmp_path, 3, target)
    assert "\n" not in str(caught.value) and "of another model" in str(caught.value)
    assert_whole(tmp_path, 3)


def assert_whole(folder, *expected):
    assert checkpoints.positions(folder) == sorted(expected)
    for position in expected:
        back, _ = checkpoints.restore(folder, position, {"w": np.zeros(4, np.float32)})
        np.testing.assert_array_equal(back["w"], np.arange(4.0) + position)


# -- damage


def all_files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    save(folder, 1, score=0.5)
    save(folder, 2, score=1.5)
    return folder


@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "longer", "flipped"])
def test_damage_is_told(how, written, tmp_path):
    """In whichever file: one clear line, and the one before it is as it was."""
    names = [p.relative_to(written) for p in all_files(written / "0000000002")]
    assert len(names) > 3
    for i, name in enumerate(names):
        folder = tmp_path / str(i)
        shutil.copytree(written, folder)
        file = folder / name
        content = file.read_bytes()
        middle = len(content) // 2
        changed = {
            "empty": b"", "truncated": content[:middle], "longer": content + b"\0",
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }  # fmt: skip
        file.write_bytes(changed[how]) if how in changed else file.unlink()
        with pytest.raises(ValueError, match=r"0000000002: .*damaged") as caught:
            checkpoints.restore(folder, 2, {"w": np.zeros(4, np.float32)})
        assert "\n" not in str(caught.value)
        shutil.rmtree(folder / "0000000002")
        assert_whole(folder, 1)


def test_a_flipped_bit_anywhere_in_the_description_is_told(written, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    file = folder / "0000000002" / "about.json"
    content = file.read_bytes()
    for i in range(0, len(content), 7):
        file.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            checkpoints.read_about(folder, 2)
    file.write_bytes(content)
    assert_whole(folder, 1, 2)


def test_a_renamed_checkpoint_is_told(written, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    (folder / "0000000002").rename(folder / "0000000007")
    with pytest.raises(ValueError, match="damaged"):
        checkpoints.read_about(folder, 7)


@pytest.mark.parametrize(
    "text",
    ["[]", "3", "null", "{}", '{"format": 1}', '{"format": 2, "arrays": [], "files": {}}', "\xff{",
     '{"format": 1, "arrays": [], "files": {"../../x": [1, 2]}, "about": {}, "position": 1}'],
)  # fmt: skip
def test_descriptions_that_make_no_sense(text, written, tmp_path):
    shutil.copytree(written, tmp_path / "copy")
    (tmp_path / "copy" / "0000000002" / "about.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match="not a checkpoint, or a damaged one"):
        checkpoints.restore(tmp_path / "copy", 2, {"w": np.zeros(4, np.float32)})


def refusal(folder):
    """The one line that says what is damaged, or "" where both checkpoints are whole."""
    try:
        assert_whole(folder, 1, 2)
    except ValueError as error:
        told = str(error)
    else:
        return ""
    assert "damaged" in told and "\n" not in told
    return told


class Trap:
    """Its pickle makes a file where it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_nothing_executable_is_loaded(written, tmp_path):
    """Pickles anywhere, and even in place of the arrays with checksums that agree."""
    folder, sprung = tmp_path / "copy", tmp_path / "sprung"
    shutil.copytree(written, folder)
    trap = pickle.dumps(Trap(sprung))
    pickle.loads(trap)
    sprung.rmdir()  # so it does spring where it is loaded
    for place in (folder, folder / "0000000002", folder / "0000000002" / "arrays"):
        for name in ("about.pkl", "about.pickle", "arrays.npy", "checkpoint", "tree.pkl", "x.py"):
            (place / name).write_bytes(trap)
    refusal(folder)
    names = [p.relative_to(written) for p in all_files(written / "0000000002" / "arrays")]
    reasons = []
    for i, name in enumerate(names):
        folder = tmp_path / str(i)
        shutil.copytree(written, folder)
        (folder / name).write_bytes(trap)
        header = json.loads((folder / "0000000002" / "about.json").read_text())
        header["files"][str(name.relative_to("0000000002"))] = checkpoints._checksum(folder / name)
        del header["checksum"]
        header["checksum"] = checkpoints._seal(header)
        (folder / "0000000002" / "about.json").write_text(json.dumps(header))
        reasons.append(refusal(folder))
    # The checksums agree, so it is what reads the arrays that refuses the pickles.
    assert any(reasons) and not any("is not what was written" in told for told in reasons)
    assert not sprung.exists()


# -- where it cannot be written


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["dumps", "flush", "move", "arrays"])
def test_a_full_disk_leaves_the_good_ones_whole(what, tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    save(tmp_path, 1)
    with monkeypatch.context() as patch:
        if what == "arrays":
            patch.setattr(ocp.StandardCheckpointHandler, "save", full)
        elif what == "dumps":
            patch.setattr(checkpoints.json, "dumps", full)
        else:
            patch.setattr(checkpoints, f"_{what}", full)
        with pytest.raises(
            OSError, match=r"No space left on device.*last whole one is 1"
        ) as caught:
            save(tmp_path, 2)
    assert "\n" not in str(caught.value)
    assert_whole(tmp_path, 1)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(checkpoints._SAVING)]
    save(tmp_path, 2)
    assert_whole(tmp_path, 1, 2)


def test_a_full_disk_while_a_position_is_written_again(tmp_path, monkeypatch):
    save(tmp_path, 1)
    rename = Path.rename

    def only_old(self, target):
        return full() if self.name.startswith(checkpoints._SAVING) else rename(self, target)

    monkeypatch.setattr(checkpoints.Path, "rename", only_old)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 1)
    assert_whole(tmp_path, 1)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="cannot keep checkpoints here") as caught:
            save(folder)
        assert "\n" not in str(caught.value)


def test_a_read_only_folder(tmp_path, monkeypatch):
    """The system calls fail as for a user who may not write (root may, everywhere)."""
    save(tmp_path, 1)

    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", denied)
        with pytest.raises(OSError, match=r"cannot keep checkpoints here \(Permission denied\)"):
            save(tmp_path, 2)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Path, "mkdir", denied)
        with pytest.raises(OSError, match=r"cannot .* \(Permission denied\)"):
            save(tmp_path, 2)
    assert_whole(tmp_path, 1)


def test_what_cannot_be_told_in_json_is_refused(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(OSError, match="cannot write a checkpoint"):
        save(tmp_path, 2, about={"rate": float("nan")})
    assert_whole(tmp_path, 1)


HOLD = """
import fcntl, sys
with open(sys.argv[1] + "/.lock", "r+") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_belongs_to_one_process(tmp_path):
    with checkpoints.opened(tmp_path), pytest.raises(OSError, match="another process is using"):
        save(tmp_path)
    command = [sys.executable, "-S", "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OSError, match="another process is using this folder"):
            save(tmp_path)
        other.kill()  # and what a killed one held is free
    save(tmp_path, 1)
    assert_whole(tmp_path, 1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "checkpoint takes a folder or a Checkpoint, not 3"),
        (["a"], r"checkpoint takes a folder or a Checkpoint, not \['a'\]"),
        (Checkpoint("a", keep=0), "keeps at least 1, .*keep=0"),
        (Checkpoint("a", seconds=-1), "every 0 s or more, .*seconds=-1"),
        (Checkpoint("a", np.nan), "every 0 s or more, .*seconds=nan"),
    ],
)
def test_bad_settings(value, message):
    with pytest.raises(ValueError, match=message):
        checkpoints.as_checkpoint(value)


def test_none_and_folders():
    assert checkpoints.as_checkpoint(None) is None
    assert checkpoints.as_checkpoint("a") == checkpoints.as_checkpoint(Path("a"))


# -- of a run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(folder)
    return folder


LEARNER = softmax_learner({"rate": 0.1})


def run(folder, key=0, data=None, learner=LEARNER, **how):
    how = {"epochs": 4, "batch_size": 12, "validation": three_classes(9, seed=1), **how}
    return fit(learner, three_classes() if data is None else data, key=jax.random.key(key),
               checkpoint=Checkpoint(folder, seconds=0), **how)  # fmt: skip


def test_what_a_run_is_of_is_stored(run_folder):
    header = checkpoints.read_about(run_folder, 16)
    told = header["about"]
    assert told["kind"] == "fit" and told["epochs"] == 4
    assert (told["run"]["rows"], told["run"]["batch_size"]) == (47, 12)
    assert told["run"]["key"] == ["threefry2x32", [0, 0]]
    shapes = {e["name"]: e["shape"] for e in header["arrays"]}
    assert shapes[".state.params"] == [4, 3] and shapes[".loss"] == [4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": 1}, "key was"),
        ({"data": three_classes(seed=2)}, "other data"),
        ({"data": three_classes(46)}, "rows was 47, is 46"),
        ({"validation": three_classes(9, seed=3)}, "other validation"),
        ({"batch_size": 11}, "batch_size was 12, is 11"),
        ({"evaluate_every": 2}, "evaluate_every was 1, is 2"),
        ({"early_stopping": EarlyStopping(2)}, "early_stopping was None"),
        ({"epochs": 3}, "already has 16 steps, more than the 12"),
        ({"record": lambda state: state.params}, "of another model"),
        ({"learner": softmax_learner({"rate": 0.1})._replace(
            init=lambda key: LEARNER.init(key)._replace(opt_state=())
        )}, "other program"),
    ],
)  # fmt: skip
def test_another_run_is_refused(change, message, run_folder):
    before = {p: p.read_bytes() for p in all_files(run_folder)}
    learner = change.get("learner", LEARNER)
    if "learner" in change:  # it has no velocity
        plain = lambda ts: ts._replace(opt_state=jnp.zeros((4, 3)))
        step = lambda ts, batch, **kw: (
            lambda new, info: (new._replace(opt_state=()), info)
        )(*LEARNER.step(plain(ts), batch, **kw))  # fmt: skip
        learner = learner._replace(step=step)
    with pytest.raises(ValueError, match=message) as caught:
        run(run_folder, **{**change, "learner": learner})
    assert "\n" not in str(caught.value)
    assert {p: p.read_bytes() for p in all_files(run_folder)} == before


def test_a_run_goes_on_from_the_one_before_a_damaged_one(run_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    before = checkpoints.positions(folder)
    assert before[-1] == 16 and len(before) >= 2
    file = max(all_files(folder / "0000000016" / "arrays"), key=lambda p: p.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"damaged.*remove this folder to go on") as caught:
        run(folder)
    assert checkpoints.positions(folder) == before
    shutil.rmtree(str(caught.value).split(": ")[0])
    assert_equal(run(folder).state, run(run_folder).state)


def test_an_empty_run_of_another_kind(tmp_path):
    save(tmp_path, 1, about={"kind": "study"})
    with pytest.raises(ValueError, match="of a study, not of a fit"):
        run(tmp_path)


def test_a_run_on_a_full_disk_says_so(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_flush", full)
    with pytest.raises(OSError, match=r"No space left on device.*none yet"):
        run(tmp_path)
