"""Checkpoints: a pytree of arrays and what it is of, written whole or not at all.

A checkpoint is a folder with a number for a name: the arrays, as orbax writes them, and
``about.json``, which names them and holds the size and checksum of every file. It is put together
under another name and renamed when all of it is on the disk, so a folder with a number is
complete, whenever the process was killed. Nothing in it is ever executed, and no link is followed
within the folder of checkpoints.
"""

import contextlib
import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl import files
from jaxdl.checks import is_key, is_whole
from jaxdl.files import reason
from jaxdl.metrics.directions import default_metric, known, resolve
from jaxdl.training.host import locks
from jaxdl.training.stopping import EarlyStopping

FORMAT = 1
_SAVING, _OLD, _ABOUT, _ARRAYS = ".saving", ".old", "about.json", "arrays"
# Bytes of histories, which may be longer than those of the run that reads them.
_MOST_MORE = 1 << 28


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
    checkpoint: Checkpoint, metrics: Sequence[str], stopping: EarlyStopping | None
) -> tuple[str, bool]:
    """The metric by which the best checkpoint is known, and whether more of it is better.

    Raises a ValueError for a metric that there is not, for one whose direction is not known, and
    for a ``maximize`` without a metric where the default metric's direction is known already.
    """
    metric = checkpoint.metric or (stopping and stopping.metric) or default_metric(metrics)
    if metric not in metrics:
        raise ValueError(f"Checkpoint(metric={metric!r}), but the metrics are {', '.join(metrics)}")
    of_stopping = stopping is not None and metric == stopping.metric
    if checkpoint.maximize is not None and checkpoint.metric is None:
        if of_stopping or known(metric):
            raise ValueError(
                f"Checkpoint(maximize={checkpoint.maximize}) would speak of {metric!r}, whose "
                "direction is known; name the metric that is meant too"
            )
    said = checkpoint.maximize
    if stopping is not None and of_stopping and said is None:
        said = stopping.maximize
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
def opened(folder: str | Path) -> Iterator[Path]:
    """Make the folder, hold it for this process, and clear away what a killed one left half done.

    Raises an OSError in one line where that is not possible.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = locks.lock_file(folder / ".lock")
    except OSError as error:
        raise OSError(f"{folder}: cannot keep checkpoints here ({reason(error)})") from None
    with lock:
        if not locks.is_ours(lock):
            raise OSError(f"{folder}: another process is using this folder of checkpoints")
        for place in _folders(folder, rf"{re.escape(_OLD)}-[0-9]{{10}}"):
            _bring_back(place)
        for place in _folders(folder, rf"{re.escape(_SAVING)}-[0-9]+"):
            shutil.rmtree(place, ignore_errors=True)
        yield folder


def positions(folder: Path) -> list[int]:
    """The numbers of the complete checkpoints in a folder, ascending."""
    return [int(place.name) for place in _folders(Path(folder), "[0-9]{10}")]


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
    building, final = folder / f"{_SAVING}-{position:010d}", folder / f"{position:010d}"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        with _orbax() as writer:
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
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if not isinstance(error, Exception):  # a second Ctrl-C
            raise
        whole = positions(folder)
        rest = f"the last whole one is {whole[-1]}" if whole else "there is none yet"
        raise OSError(f"{folder}: cannot write a checkpoint ({reason(error)}); {rest}") from None
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
    if (name := _mismatched(path, header)) is not None:
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
    more = 0
    for entry in wanted:
        have = stored[entry["name"]]
        alike = lambda e: (e["dtype"], len(e["shape"]), e["shape"][1:])
        if alike(have) != alike(entry):
            describe = lambda e: f"{e['dtype']}{e['shape']}"
            raise ValueError(
                f"{path}: of another model ({entry['name']} is {describe(have)} there and "
                f"{describe(entry)} here)"
            )
        if have["shape"] != entry["shape"]:
            more += math.prod(have["shape"]) * 8
    if more > _MOST_MORE:
        raise ValueError(f"{path}: its histories have more than {files.amount(_MOST_MORE)}")
    dtype = lambda e: "uint32" if e["key"] else e["dtype"]

    def leaf(entry):
        have = stored[entry["name"]]
        if not have["at"]:
            return np.zeros(have["shape"], have["dtype"])
        array = np.asarray(arrays[have["at"]])
        if not have["key"]:
            return array
        return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=have["key"])

    try:
        empty = {e["at"]: np.zeros(e["data_shape"], dtype(e)) for e in stored.values() if e["at"]}
        with _orbax() as reader:
            arrays = reader.restore(path / _ARRAYS, args=ocp.args.StandardRestore(empty))
        leaves = [leaf(entry) for entry in wanted]
    except Exception as error:
        raise ValueError(f"{path}: damaged ({reason(error)})") from None
    return jax.tree.unflatten(jax.tree.structure(target), leaves), header["about"]


def _orbax() -> Any:
    """Orbax's writer and reader of arrays, by this process alone: it waits for no other one."""
    import orbax.checkpoint as ocp

    mine = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=mine, active_processes={mine})
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def read_about(folder: Path, position: int) -> dict[str, Any]:
    """What ``about.json`` of a checkpoint says, checked.

    Raises a ValueError in one line for a file that is missing, damaged or of another kind.
    """
    return _read_about(Path(folder).absolute() / f"{position:010d}", position)


def _read_about(path: Path, position: int) -> dict[str, Any]:
    try:
        header = files.parse_json(files.read_bytes(path / _ABOUT, follow=False))
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}, not {FORMAT}")
        for entry in header["arrays"]:
            texts = [entry["name"], entry["dtype"], entry["at"]]
            shape, words = entry["shape"], []
            if entry["at"]:
                texts.append(entry["key"])
                cut = len(shape) if entry["key"] else None  # a key has words behind its shape
                shape, words = entry["data_shape"][:cut], entry["data_shape"][len(shape) :]
            if (
                not all(isinstance(text, str) for text in texts)
                or not all(is_whole(size) and 0 <= size for size in [*shape, *words])
                or shape != entry["shape"]
                or math.prod(words) > 16
            ):
                raise ValueError("names or shapes that make no sense")
        for size, checksum in header["files"].values():
            if not is_whole(size) or not is_whole(checksum):
                raise ValueError("files that make no sense")
        checksum = header.pop("checksum")
        if header["position"] != position or _seal(header) != checksum:
            raise ValueError("it is not what was written")
        if not isinstance(header["about"], dict):
            raise ValueError("it does not say of what it is")
        if not isinstance(header["score"], (float, int, type(None))):
            raise ValueError("a score that makes no sense")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a checkpoint, or a damaged one ({reason(error)})") from None
    return header


def _mismatched(path: Path, header: dict[str, Any]) -> str | None:
    """The first file of a checkpoint that is not what was written, or None."""
    written = header["files"]
    # A file more is refused as well: orbax takes up some by their names.
    there = {str(p.relative_to(path)) for p in _files(path / _ARRAYS)}
    for name in sorted({*written, *there}):
        try:
            linked = (path / name).resolve() != path.resolve() / name
            if linked or _checksum(path / name) != written.get(name):
                return name
        except (OSError, ValueError):  # a NUL in the name
            return name
    return None


def check_types(about: dict[str, Any], **types: type) -> None:
    """Raise a ValueError unless a checkpoint's ``about`` has these fields of these types."""
    for name, kind in types.items():
        if type(about.get(name)) is not kind:
            raise ValueError(f"damaged (its {name} makes no sense)")


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
    gone = path.with_name(f"{_SAVING}-{path.name}")
    shutil.rmtree(gone, ignore_errors=True)
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _move(new: Path, final: Path) -> None:
    """Rename a folder; where that fails, what had the name before has it again."""
    old = final.with_name(f"{_OLD}-{final.name}")
    if os.path.lexists(final):
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    try:
        new.rename(final)
    except BaseException:
        if os.path.lexists(old):
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _bring_back(old: Path) -> None:
    """Give a checkpoint its name again whose process died before the new one had it."""
    position = int(old.name.removeprefix(f"{_OLD}-"))
    final = old.with_name(f"{position:010d}")
    try:
        if not os.path.lexists(final) and _mismatched(old, _read_about(old, position)) is None:
            old.rename(final)
            return
    except ValueError:
        pass
    shutil.rmtree(old, ignore_errors=True)


def _folders(folder: Path, pattern: str) -> list[Path]:
    """The folders in a folder, no links, whose whole name matches, by name."""
    if not folder.is_dir():
        return []
    named = (place for place in folder.iterdir() if re.fullmatch(pattern, place.name))
    return sorted(place for place in named if place.is_dir() and not place.is_symlink())


def _seal(header: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(header, allow_nan=False).encode())


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())


def _checksum(path: Path) -> list[int]:
    """The size and CRC-32 of a file; an OSError for a link or what is no regular file."""
    size = checksum = 0
    with files.open_regular(path, follow=False) as file:
        while piece := file.read(1 << 20):
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    return [size, checksum]


def _flush(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
