"""Tables that were damaged on the way: an answer, or one line; by the thousand, from one seed."""

import bz2
import gzip
import io
import lzma
import warnings
import zipfile

import numpy as np
import pytest

from experiments import tabular

ROWS = 30
SIGNS = [
    b",",
    b";",
    b"\t",
    b"|",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"NA",
    b"-",
    b"1e999",
    b"\xff",
    b"\xc3",
]
SIGNS += [
    b"$",
    b"2024-01-05",
    b"007",
    b"\xe2\x82\xac",
    b" ",
    b"(",
    b"true",
    b"\xff\xfe",
    b"PK\x03\x04",
]


def text_of(delimiter, end="\n", decimal=".", quoted=False):
    """A table with a column of each kind."""
    k = range(ROWS)
    columns = {
        "size": [f"{v / 7:.3f}".replace(".", decimal) for v in (w * w % 23 for w in k)],
        "price": ["" if v % 9 == 2 else f"${v}" for v in (w * 7 % 19 for w in k)],
        "seen": [f"{v % 28 + 1}.{v % 12 + 1}.2023" for v in k],
        "town": [["Röm", "Oslo", "Bern"][v % 3] for v in k],
        "code": [f"{v % 4:03d}" for v in k],
        "fit": ["no" if v % 5 == 0 else "yes" for v in k],
        "y": [["u", "v"][v % 2] for v in k],
    }
    quote = lambda cell: f'"{cell}"' if quoted else cell
    rows = [columns, *zip(*columns.values(), strict=True)]
    return end.join(delimiter.join(map(quote, row)) for row in rows) + end


def zipped(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", data)
    return buffer.getvalue()


def arrays():
    buffer = io.BytesIO()
    np.savez(buffer, x=np.arange(60.0).reshape(30, 2) ** 2, y=np.arange(30) % 2)
    return buffer.getvalue()


COMMA = text_of(",").encode()
WHOLE = {
    "comma.csv": COMMA,
    "semicolon.csv": text_of(";", decimal=",").encode(),
    "tab.csv": text_of("\t", "\r\n").encode("latin-1"),
    "bar.csv": text_of("|", "\r").encode(),
    "quoted.csv": text_of(",", quoted=True).encode("utf-8-sig"),
    "utf16.csv": text_of(";").encode("utf-16"),
    "headless.csv": COMMA.split(b"\n", 1)[1],
    "packed.gz": gzip.compress(COMMA),
    "packed.bz2": bz2.compress(COMMA),
    "packed.xz": lzma.compress(COMMA),
    "packed.zip": zipped(COMMA),
    "arrays.npz": arrays(),
}


def mutated(rng, data):
    """One to three flips, cuts, insertions, doublings or exchanges of signs."""
    for _ in range(rng.integers(1, 4)):
        data = data or b"a"
        i, j = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        sign, other = (SIGNS[k] for k in rng.integers(0, len(SIGNS), 2))
        bit = bytes([data[min(i, len(data) - 1)] ^ (1 << rng.integers(8))])
        few = min(j, i + 20)
        data = [
            data[:i] + bit + data[i + 1 :],  # a flip
            data[:i],  # a cut at the end
            data[:i] + data[few:],  # and in the middle
            data[:i] + sign + data[i:],
            data[:j] + data[i:j] + data[j:],
            data.replace(sign, other),
            data.replace(sign, other, 3),
        ][rng.integers(7)]
    return data


def outcome(path, **options):
    """``"answer"``, or the line that says why there is none; anything else is a failure."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = tabular.load_dataset(str(path), **options)
        except ValueError as error:
            line = str(error)
            assert line.isprintable() and path.name in line and len(line) < len(str(path)) + 500
            return line
    assert all(str(w.message).startswith(str(path)) for w in caught), [*map(str, caught)]
    assert dataset.x.shape == (len(dataset.y), len(dataset.feature_names)) and len(dataset.y)
    assert not np.isinf(dataset.x).any() and np.isfinite(dataset.y).all()
    assert len(set(dataset.feature_names)) == dataset.x.shape[1]
    return "answer"


def outcomes(folder, count, seed):
    rng, found = np.random.default_rng(seed), []
    for k in range(count):
        name = [*WHOLE][k % len(WHOLE)]
        (folder / name).write_bytes(mutated(rng, WHOLE[name]))
        target = {} if rng.random() < 0.8 else {"target": "size"}
        found.append(outcome(folder / name, **target))
    assert sorted(p.name for p in folder.iterdir()) == sorted({*WHOLE})
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_tables_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(WHOLE[name])
    assert outcome(tmp_path / name) == "answer"


def test_damaged_tables_are_an_answer_or_one_line(tmp_path):
    found = outcomes(tmp_path, 96, seed=0)
    answers = found.count("answer")
    assert 10 < answers < 86 and len(set(found)) > 10  # some of both, for many reasons


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_damaged_tables_are_an_answer_or_one_line(tmp_path, seed):
    answers = outcomes(tmp_path, 300, seed).count("answer")
    assert 30 < answers < 270
