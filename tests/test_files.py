"""Files of strangers: read, or refused in one line, soon and in little memory, never anything else."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archives import npy_bytes, zip_bytes

from experiments import saved
from jaxdl import files
from jaxdl.data import load_idx, load_table
from jaxdl.model_selection.saved import read_header
from jaxdl.text import load_vocabulary
from jaxdl.training import read_log
from jaxdl.training.host import checkpoints


def npz(compress=False, **arrays):
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)
    return buffer.getvalue()


X = np.arange(8.0, dtype=np.float32).reshape(4, 2)
HEADER = json.dumps({"hparams": [{"hidden": "3-2", "rate": 0.1}], "about": {"problem": {"a": "ä"}}})
TABLE = 'name,size,when,y\nä,1.5,20,p\n"b,c",-4e1,21,q\nä,,22,p\nd,7,23,q\n'.encode()
WHOLE = {  # a valid file of each kind
    "table.csv": TABLE,
    "table.npz": npz(x=X, y=np.array([0, 1, 0, 1]), feature_names=np.array(["a", "b"])),
    "small.npz": npz(True, x=X, y=np.array(["p", "q", "p", "q"])),
    "model.npz": npz(__header__=np.array(HEADER), kernel=X),
    "network.npz": npz(True, __about__=np.array('{"width": 3}'), kernel=X),
    "pixels.npy": (lambda b: (np.save(b, X), b.getvalue())[1])(io.BytesIO()),
    "digits.idx": bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6)),
    "words.json": b'{"special": ["<pad>", "<bos>", "<eos>", "<unk>"], "words": ["a", "b"]}',
    "log.jsonl": b'{"epoch": 1, "part": "train", "metric": "loss", "value": 0.5}\n',
}


def read(path):
    """Each kind of file by its own reader."""
    name = Path(path).name
    if name.startswith("0"):
        return checkpoints._read_about(Path(path), 1)
    if name in ("table.csv", "table.npz", "small.npz"):
        return load_table(path, missing="mean")
    readers = {"model.npz": read_header, "network.npz": saved.read, "pixels.npy": files.read_npy,
               "digits.idx": load_idx, "words.json": load_vocabulary, "log.jsonl": read_log}  # fmt: skip
    return readers[name](path)


def test_the_valid_ones_are_read(tmp_path):
    found = {}
    for name, content in WHOLE.items():
        (tmp_path / name).write_bytes(content)
        found[name] = read(tmp_path / name)
    assert found["table.csv"].target_names == ("p", "q") and found["table.csv"].x.shape == (4, 5)
    np.testing.assert_array_equal(found["table.npz"].x, X)
    np.testing.assert_array_equal(found["small.npz"].y, [0, 1, 0, 1])
    assert found["model.npz"] == json.loads(HEADER)
    assert found["network.npz"][0] == {"width": 3}
    np.testing.assert_array_equal(found["network.npz"][1]["kernel"], X)
    np.testing.assert_array_equal(found["pixels.npy"], X)
    np.testing.assert_array_equal(found["digits.idx"], np.arange(6).reshape(2, 3))
    assert found["words.json"].words[4:] == ("a", "b") and found["log.jsonl"][0]["value"] == 0.5


def mutated(content, rng):
    """A few bytes changed, a piece cut out, doubled, put elsewhere, or numbers made huge."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        a, b = sorted(rng.integers(0, len(content) + 1, 2))
        piece = bytes(content[a:b])
        match rng.integers(7):
            case 0:
                content[a : a + 1] = bytes([rng.integers(256)])
            case 1:
                content[a : a + 1] = bytes([content[a] ^ 1 << rng.integers(8)]) if a < b else b""
            case 2:
                del content[a:b]
            case 3:
                content[b:b] = piece * int(rng.integers(1, 4))
            case 4:
                content[a:b] = bytes(b - a)
            case 5:
                content[a : a + 4] = bytes([255] * 4)
            case _:
                content[a:a] = rng.choice(
                    [b"9" * 30, b"[" * 3000, b"{}", b"\xff", b'"', b"null", b"-"]
                )
        if not content:
            break
    return bytes(content)


@pytest.mark.parametrize("name", WHOLE)
def test_mutations_are_read_or_refused_in_one_line(name, tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / name
    refused = 0
    for _ in range(300):
        path.write_bytes(mutated(WHOLE[name], rng))
        try:
            read(path)
        except (ValueError, OSError) as error:
            refused += 1
            said = str(error)
            assert name in said and "\n" not in said and len(said) < 600, said
    assert 100 < refused <= 300


# -- the worst that is known, in a process that may have a gigabyte


def npy(shape, descr="<f4", data=b""):
    return npy_bytes({"descr": descr, "fortran_order": False, "shape": shape}, data)


def worst():
    """Hostile files by name: each is of a kind that ``read`` knows by what follows the space."""
    deep = "[" * 10**6
    header = {"hparams": [{"a": 1.0}], "about": {}}
    zeros = npy((2**26 - 99,), "<f4", bytes(2**28 - 396))  # a bomb of nearly as much as may be
    bomb = zip_bytes({f"{name}.npy": bytes(9) for name in ("__header__", "__about__", "x")})
    at = bomb.index(b"PK\x01\x02") + 24  # what the first of them unpacks to
    for name in ("model.npz", "network.npz", "small.npz"):
        yield f"bomb {name}", bomb[:at] + b"\xf0\xff\xff\xff" + bomb[at + 4 :]
    yield (
        "bomb-array network.npz",
        zip_bytes({"__about__.npy": npy((), "<U1", b"3\0\0\0"), "k.npy": zeros}),
    )
    yield "no-text network.npz", zip_bytes({"__about__.npy": npy((), "<U1", b"\xff" * 4)})
    yield "surrogate network.npz", zip_bytes({"__about__.npy": npy((), ">U1", b"\0\0\xdb\xff")})
    yield (
        "long-text model.npz",
        zip_bytes({"__header__.npy": npy((), "<U67100000", bytes(268400000))}),
    )
    for name in ("model.npz", "network.npz"):
        key = "__header__" if name == "model.npz" else "__about__"
        yield f"deep {name}", npz(**{key: np.array(deep)})
        yield f"nested {name}", npz(**{key: np.array("[" * 900 + "]" * 900)})
        yield f"objects {name}", npz(**{key: np.array('{"hparams": [' + "{}," * 2**20 + "{}]}")})
        yield f"long {name}", npz(True, **{key: np.array(" " * (files.MAX_TEXT + 1))})
        yield f"digits {name}", npz(**{key: np.array("9" * 10**6)})
        yield f"infinite {name}", npz(**{key: np.array('{"hparams": [NaN]}')})
        yield f"number {name}", npz(**{key: np.array(3)})
        yield f"pickled {name}", npz(**{key: np.array([None], object)})
    yield "claims small.npz", zip_bytes({"x.npy": npy((2**60, 2**60))})
    yield (
        "void small.npz",
        zip_bytes({"x.npy": npy((10**9,), "|V0"), "y.npy": npy((10**9,), "<U0")}),
    )
    yield "empty small.npz", zip_bytes({"x.npy": npy((10**18, 0)), "y.npy": npy((10**18,), "<U0")})
    yield (
        "names small.npz",
        zip_bytes(
            {"x.npy": npy((1, 2), "<f4", bytes(8)), "feature_names.npy": npy((10**8,), "<U0")}
        ),
    )
    yield "wide small.npz", npz(True, x=np.zeros((1, 10**8), np.int8), y=[1])
    yield (
        "header small.npz",
        zip_bytes({"x.npy": b"\x93NUMPY\x02\x00" + b"\xff" * 4 + b"(" * 10**6}),
    )
    yield "parens small.npz", zip_bytes({"x.npy": b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10**4})
    yield "members small.npz", zip_bytes({f"{i:0200}": b"" for i in range(5_000)})
    yield "members model.npz", zip_bytes({f"a{i}": b"" for i in range(6_000)})
    yield "bzip2 small.npz", zip_bytes({"x.npy": npy((2, 2), "<f4", bytes(16))}, zipfile.ZIP_BZIP2)
    yield "cells table.csv", b"a,y\n" + b",\n" * 2**23
    yield "columns table.csv", b",".join(b"%d" % i for i in range(10**6)) + b"\n"
    yield "quotes table.csv", b'a,y\n"' + b"x\n" * 10**6
    yield "field table.csv", b"a,y\n" + b"x" * 10**7
    yield "emoji table.csv", b"a,y\n" + ("\U0001f600" + "a" * 99_999 + ",1\n").encode() * 400
    yield "deep words.json", deep.encode()
    yield "deep log.jsonl", deep.encode() + b"\n"
    yield "claims digits.idx", bytes([0, 0, 8, 3]) + b"\xff" * 12
    about = {"format": 1, "position": 1, "score": None, "about": {}, "arrays": [], "files": {}}
    for name, change in {
        "deep": None,
        "shape": {"arrays": [{"name": "a", "shape": [2**60], "dtype": "float32", "at": "a0",
                              "data_shape": [2**61], "key": ""}]},
        "types": {"arrays": [{"name": "a", "shape": "wide", "dtype": 3, "at": []}]},
        "files": {"files": {"about.json": [10**30]}},
        "score": {"score": "high"},
        "about": {"about": [1, 2]},
        "header": dict.fromkeys(about, header),
    }.items():  # fmt: skip
        told = {**about, **(change or {})}
        text = json.dumps({**told, "checksum": checkpoints._seal(told)})
        yield f"{name} 0", (deep if change is None else text).encode()


READ = """
import resource, sys, time
sys.path[:0] = sys.argv[1:]
import test_files
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, resource.RLIM_INFINITY))
for path in map(str.strip, sys.stdin):
    began, said = time.process_time(), "it was read"
    try:
        test_files.read(path)
    except (ValueError, OSError) as error:
        said = str(error)
    except BaseException as error:
        said = f"{type(error).__name__}\\n{error}"
    print(f"{time.process_time() - began:.3f} {said!r}", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and FIFOs as on Linux")
def test_the_worst_files_are_refused_soon_and_in_little_memory(tmp_path):
    """One process reads them all: a gigabyte beyond what it has when it begins, two seconds each."""
    paths = []
    for name, content in worst():
        how, kind = name.split(" ")
        path = tmp_path / how / kind
        path.parent.mkdir(exist_ok=True)
        if kind == "0":
            path.mkdir()
            (path / "about.json").write_bytes(content)
        else:
            path.write_bytes(content)
        paths.append(path)
    for how in ("pipe", "device", "folder"):
        (tmp_path / how).mkdir()
        for kind in [*WHOLE, "0/about.json"]:
            path = tmp_path / how / kind
            path.parent.mkdir(exist_ok=True)
            if how == "pipe":
                os.mkfifo(path)
            elif how == "device":
                path.symlink_to("/dev/zero")
            else:
                path.mkdir()
            paths.append(path.parent if kind.startswith("0") else path)
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", READ, here, str(Path(here).parent)],
        input="\n".join(map(str, paths)), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths), done.stderr
    for path, line in zip(paths, lines, strict=True):
        seconds, said = line.split(" ", 1)
        said = eval(said)
        where = path.relative_to(tmp_path)
        if path.parent.name == "objects" and said == "it was read":
            continue  # a million of them: a lot, but no harm
        assert said != "it was read" and str(path) in said, (where, said)
        assert "\n" not in said and len(said) < 800, (where, said)
        assert float(seconds) < 2, (where, seconds)


def test_only_what_is_asked_for_is_unpacked(tmp_path, monkeypatch):
    """The header of a model is read without its arrays."""
    path = tmp_path / "model.npz"
    path.write_bytes(WHOLE["model.npz"])
    read_array, asked = np.lib.format.read_array, []
    monkeypatch.setattr(
        np.lib.format, "read_array", lambda *a, **k: (asked.append(1), read_array(*a, **k))[1]
    )
    read_header(path)
    assert len(asked) == 2  # once to see that it is a model
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match="its arrays take more than 10 bytes"):
        read_header(path)
    assert len(asked) == 2


def test_links_are_followed_only_where_asked(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert files.read_bytes(tmp_path / "link") == b"text"
    with pytest.raises(OSError, match="symbolic"):
        files.read_bytes(tmp_path / "link", follow=False)
    assert files.read_bytes(tmp_path / "file", most=4) == b"text"
    with pytest.raises(OSError, match="has more than 3 bytes"):
        files.read_bytes(tmp_path / "file", most=3)


def test_json_at_its_limits(monkeypatch):
    nested = lambda n: "[" * n + "]" * n
    assert json.dumps(files.parse_json(nested(files.MAX_DEPTH))) == nested(files.MAX_DEPTH)
    with pytest.raises(ValueError, match="nests deeper than 32"):
        files.parse_json(nested(files.MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="nests deeper than 32"):
        files.parse_json('{"a":' * 33 + "1" + "}" * 33)
    monkeypatch.setattr(files, "MAX_TEXT", 3)
    assert files.parse_json("123") == 123
    with pytest.raises(ValueError, match="more than 3 characters"):
        files.parse_json("1234")
