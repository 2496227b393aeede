"""Checkpoints: a pytree of arrays and what it is of, written whole or not at all.

A checkpoint is a folder with a number for a name: the arrays, as orbax writes them, and
``about.json``, which names them and holds the size and checksum of every file. It is put together
under another name and renamed when all of it is on the disk, so a folder with a number is
complete, whenever the process was killed. Nothing in it is ever executed.
"""

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.checks import is_key
from jaxdl.metrics.directions import default_metric, known, resolve
from jaxdl.training.stopping import EarlyStopping

FORMAT = 1
_SAVING, _OLD, _ABOUT, _ARRAYS = ".saving", ".old", "about.json", "arrays"


class Checkpoint(NamedTuple):
    """Where a run leaves its checkpoints, and how often.

    folder: made where it is missing; a run belongs to one folder.
    seconds: at least so long between two of them; there is always one at the end.
    keep: how many of the last to keep, besides the one with the best validation score.
    metric: by which the best is known; default, that of the early stopping, else the first loss.
    maximize: whether more of it is better. None where its name says so, or where the early
        stopping does; for any other it must be said.
    """

    folder: str | Path
    seconds: float = 60.0
    keep: int = 2
    metric: str | None = None
    maximize: bool | None = None


def judged_by(
    checkpoint: Checkpoint, metrics: list[str], stopping: EarlyStopping | None
) -> tuple[str, bool]:
    """The metric by which the best checkpoint is known, and whether more of it is better.

    Raises a ValueError for a metric that there is not, for one whose direction is not known, and
    for a ``maximize`` without a metric where the default metric's direction is known already.
    """
    metric = checkpoint.metric or (stopping.metric if stopping else default_metric(metrics))
    if metric not in metrics:
        raise ValueError(f"Checkpoint(metric={metric!r}), but the metrics are {', '.join(metrics)}")
    of_stopping = stopping is not None and metric == stopping.metric
    if checkpoint.maximize is not None and checkpoint.metric is None:
        if of_stopping or known(metric):
            raise ValueError(
                f"Checkpoint(maximize={checkpoint.maximize}) would speak of {metric!r}, whose "
                "direction is known; name the metric that is meant too"
            )
    said = stopping.maximize if of_stopping and checkpoint.maximize is None else checkpoint.maximize
    return metric, resolve(metric, said, "Checkpoint(folder, maximize=True) or False")


def as_checkpoint(value: "Checkpoint | str | Path | None") -> Checkpoint | None:
    """The Checkpoint of a folder; a Checkpoint or None as it is. Else it raises a ValueError."""
    if isinstance(value, (str, Path)):
        value = Checkpoint(value)
    if value is None:
        return None
    if not isinstance(value, Checkpoint):
        raise ValueError(f"checkpoint takes a folder or a Checkpoint, not {value!r}")
    if value.keep < 1 or not value.seconds >= 0:
        raise ValueError(f"a checkpoint keeps at least 1, every 0 s or more, not {value}")
    return value._replace(folder=Path(value.folder))


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Make the folder, hold it for this process, and clear away what a killed one left half done.

    Raises an OSError in one line where that is not possible.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")
    except OSError as error:
        raise OSError(f"{folder}: cannot keep checkpoints here ({_reason(error)})") from None
    with lock:
        if not _try_lock(lock):
            raise OSError(f"{folder}: another process is using this folder of checkpoints")
        for rest in folder.iterdir():
            if rest.name.startswith((_SAVING, _OLD)):
                shutil.rmtree(rest, ignore_errors=True)
        yield folder


def positions(folder: Path) -> list[int]:
    """The numbers of the complete checkpoints in a folder, ascending."""
    places = Path(folder).iterdir() if Path(folder).is_dir() else []
    return sorted(int(p.name) for p in places if re.fullmatch("[0-9]{10}", p.name) and p.is_dir())


def save(
    checkpoint: Checkpoint,
    position: int,
    tree: Any,
    about: dict[str, Any],
    score: float | None = None,
) -> Path:
    """Write a tree as checkpoint ``position``, then remove those that are not to be kept.

    Args:
      checkpoint: where.
      position: how far the run is; larger is later.
      tree: any pytree of arrays, typed keys among them.
      about: what is of use to whoever reads it again, in JSON's types.
      score: by which the best is kept; less is better.

    Raises an OSError in one line where it cannot be written; older ones are then as they were.
    """
    import orbax.checkpoint as ocp

    folder = Path(checkpoint.folder).absolute()
    arrays, described = _describe(tree)
    building = folder / f"{_SAVING}-{position}"
    final = folder / f"{position:010d}"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        handler = ocp.StandardCheckpointHandler()
        with ocp.Checkpointer(handler) as writer:
            writer.save(building / _ARRAYS, args=ocp.args.StandardSave(arrays))
        files = {str(p.relative_to(building)): _checksum(p) for p in _files(building)}
        header = {"format": FORMAT, "position": position, "score": score, "arrays": described,
                  "about": about, "files": files}  # fmt: skip
        with open(building / _ABOUT, "w", encoding="utf-8") as file:
            json.dump({**header, "checksum": _seal(header)}, file)
        for path in (*_files(building), building):
            _flush(path)
        _move(building, final)
        _flush(folder)
    except Exception as error:
        shutil.rmtree(building, ignore_errors=True)
        whole = positions(folder)
        rest = f"the last whole one is {whole[-1]}" if whole else "there is none yet"
        raise OSError(f"{folder}: cannot write a checkpoint ({_reason(error)}); {rest}") from None
    _prune(folder, checkpoint.keep)
    return final


def restore(folder: Path, position: int, target: Any) -> tuple[Any, dict[str, Any]]:
    """The arrays of a checkpoint in the structure of ``target``, and its ``about``.

    Args:
      folder: that of the checkpoints.
      position: one of ``positions(folder)``.
      target: a pytree of arrays or ``ShapeDtypeStruct``s. Names and dtypes must agree, and shapes
        but for the first axis, since histories are as long as a run was.

    Raises a ValueError in one line where the checkpoint is damaged or of something else.
    """
    import orbax.checkpoint as ocp

    path = Path(folder).absolute() / f"{position:010d}"
    header = read_about(folder, position)
    written = header["files"]
    # A file more is refused as well: orbax takes up some by their names.
    for name in sorted({*written, *(str(p.relative_to(path)) for p in _files(path / _ARRAYS))}):
        file = path / name
        if not file.is_file() or _checksum(file) != written.get(name):
            raise ValueError(
                f"{path}: damaged ({name} is not what was written); remove this folder to go on "
                "from the checkpoint before it"
            )
    stored = {entry["name"]: entry for entry in header["arrays"]}
    _, wanted = _describe(target, read=False)
    mismatched = sorted({e["name"] for e in wanted} ^ set(stored))
    if mismatched:
        raise ValueError(
            f"{path}: of another model (only one of the two has {', '.join(mismatched[:3])})"
        )
    for entry in wanted:
        have = stored[entry["name"]]
        alike = lambda e: (e["dtype"], len(e["shape"]), e["shape"][1:])
        if alike(have) != alike(entry):
            describe = lambda e: f"{e['dtype']}{e['shape']}"
            raise ValueError(
                f"{path}: of another model ({entry['name']} is {describe(have)} there and "
                f"{describe(entry)} here)"
            )
    dtype = lambda e: "uint32" if e["key"] else e["dtype"]
    empty = {e["at"]: np.zeros(e["data_shape"], dtype(e)) for e in stored.values() if e["at"]}
    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            arrays = reader.restore(path / _ARRAYS, args=ocp.args.StandardRestore(empty))
    except Exception as error:
        raise ValueError(f"{path}: damaged ({_reason(error)})") from None

    def leaf(entry):
        have = stored[entry["name"]]
        if not have["at"]:
            return np.zeros(have["shape"], have["dtype"])
        array = np.asarray(arrays[have["at"]])
        return jax.random.wrap_key_data(array, impl=have["key"]) if have["key"] else array

    return jax.tree.unflatten(jax.tree.structure(target), [leaf(e) for e in wanted]), header[
        "about"
    ]


def read_about(folder: Path, position: int) -> dict[str, Any]:
    """What ``about.json`` of a checkpoint says, checked.

    Raises a ValueError in one line for a file that is missing, damaged or of another kind.
    """
    path = Path(folder).absolute() / f"{position:010d}"
    try:
        header = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}, not {FORMAT}")
        for entry in header["arrays"]:
            if not isinstance(entry["name"], str) or not isinstance(entry["shape"], list):
                raise ValueError("names or shapes that make no sense")
        for name, (size, checksum) in header["files"].items():
            inside = (path / name).resolve().is_relative_to(path.resolve())
            if not inside or not isinstance(size, int) or not isinstance(checksum, int):
                raise ValueError("files that make no sense")
        checksum = header.pop("checksum")
        if header["position"] != position or _seal(header) != checksum:
            raise ValueError("it is not what was written")
        header["about"], header["score"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a checkpoint, or a damaged one ({_reason(error)})") from None
    return header


def _describe(tree, read: bool = True):
    """Arrays by number, and a name, shape and dtype for each leaf of a tree."""
    arrays, described = {}, []
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(tree)):
        typed = is_key(leaf)
        name = jax.tree_util.keystr(path)
        entry = {"name": name, "shape": list(leaf.shape), "dtype": str(leaf.dtype), "at": ""}
        if read and leaf.size:
            array = np.asarray(jax.random.key_data(leaf) if typed else leaf)
            entry |= {"at": f"a{i}", "data_shape": list(array.shape)}
            entry |= {"key": str(jax.random.key_impl(leaf)) if typed else ""}
            arrays[entry["at"]] = array
        described.append(entry)
    return arrays, described


def _prune(folder: Path, keep: int) -> None:
    known = positions(folder)
    scores = {}
    for position in known:
        with contextlib.suppress(ValueError):
            scores[position] = read_about(folder, position)["score"]
    scored = {p: s for p, s in scores.items() if s is not None}
    spared = {*known[-keep:], *([min(scored, key=lambda p: (scored[p], p))] if scored else [])}
    for position in set(known) - spared:
        _discard(folder / f"{position:010d}")


def _discard(path: Path) -> None:
    """Remove a checkpoint, renamed first so that half of one never counts as whole."""
    if path.exists():
        old = path.with_name(f"{_OLD}-{path.name}")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def _move(new: Path, final: Path) -> None:
    """Rename a folder; where that fails, what had the name before has it again."""
    old = final.with_name(f"{_OLD}-{final.name}")
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    try:
        new.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _seal(header: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(header, allow_nan=False).encode())


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _checksum(path: Path) -> list[int]:
    content = path.read_bytes()
    return [len(content), zlib.crc32(content)]


def _flush(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _try_lock(file) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _reason(error: BaseException) -> str:
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
