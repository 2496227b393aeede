"""IDX files: bytes by hand, and what is wrong with others."""

import gzip
import hashlib
import io
import struct
import urllib.error

import numpy as np
import pytest

from jaxdl.data import idx


def file_of(array, kind=0x08):
    array = np.asarray(array)
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_images_come_back_packed_or_not(pack):
    found = idx.parse_idx(pack(file_of(IMAGES)))
    np.testing.assert_array_equal(found, IMAGES)
    assert found.dtype == np.uint8 and struct.unpack(">I", file_of(IMAGES)[:4]) == (2051,)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
def test_every_type_is_big_endian(kind, dtype):
    values = np.array([1, -2, 100], dtype)
    found = idx.parse_idx(file_of(values, kind))
    np.testing.assert_array_equal(found, [1, -2, 100])
    assert found.dtype == np.dtype(dtype).newbyteorder("=") and found.dtype.isnative


def test_a_compressed_file_is_not_read_as_one_that_is_not():
    """N2D2 issue 118: 1F 8B 08 08, read as a magic number, is 529205256."""
    assert struct.unpack(">I", bytes([0x1F, 0x8B, 8, 8])) == (529205256,)
    buffer = io.BytesIO()
    with gzip.GzipFile("train-images-idx3-ubyte", "wb", fileobj=buffer) as file:
        file.write(file_of(IMAGES))
    assert buffer.getvalue()[:4] == bytes([0x1F, 0x8B, 8, 8])
    np.testing.assert_array_equal(idx.parse_idx(buffer.getvalue()), IMAGES)
    turned = struct.pack("<I", 2051) + file_of(IMAGES)[4:]  # little-endian
    with pytest.raises(ValueError, match=r"its magic number is 50855936 \(images have 2051"):
        idx.parse_idx(turned)


WHOLE = file_of(IMAGES)
BROKEN = {
    "empty": (b"", "0 bytes are no IDX file"),
    "short": (b"\0\0\x08", "3 bytes are no IDX file"),
    "text": (b"label,pixel\n1,2\n", "no IDX file, its magic number"),
    "type": (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "no IDX file, its magic number is 1793"),
    "no dimensions": (bytes([0, 0, 8, 0]), "with 0 dimensions"),
    "header": (WHOLE[:12], "with 3 dimensions"),
    "many dimensions": (bytes([0, 0, 8, 200]), "with 200 dimensions"),
    "cut": (WHOLE[:-1], r"cut short, 23 bytes for dimensions \[2, 3, 4\] of 24"),
    "behind": (WHOLE + b"\0", "has bytes behind its end, 25 bytes"),
    "absurd": (struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "would be 79228162458924105385"),
    "cut compression": (gzip.compress(WHOLE)[:-9], "compression is damaged"),
    "damaged compression": (gzip.compress(WHOLE)[:-8] + bytes(8), "compression is damaged"),
    "no compression": (b"\x1f\x8bnothing", "compression is damaged"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files_say_what_is_wrong(content, message):
    with pytest.raises(ValueError, match=f"^a.idx: .*{message}"):
        idx.parse_idx(content, "a.idx")


def test_a_small_file_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="holds more than 1000 bytes"):
        idx.parse_idx(gzip.compress(bytes(10**6)))


def write(folder, images=IMAGES, labels=(1, 9), part="train", name="{}", pack=bytes):
    for file, array in zip(idx.PARTS[part], (images, labels), strict=True):
        (folder / name.format(file)).write_bytes(pack(file_of(np.asarray(array, np.uint8))))


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(("name", "pack"), [("{}", bytes), ("{}.gz", gzip.compress)])
def test_a_folder_of_mnists_files(tmp_path, part, name, pack):
    write(tmp_path, part=part, name=name, pack=pack)
    x, y = idx.load_idx_images(tmp_path, part)
    np.testing.assert_array_equal(x, IMAGES)
    assert y.tolist() == [1, 9] and y.dtype == np.int32


def test_names_with_a_dot(tmp_path):
    for file, array in zip(idx.PARTS["train"], (IMAGES, [3, 4]), strict=True):
        name = ".".join(file.rsplit("-", 1))  # train-images-idx3.ubyte
        (tmp_path / name).write_bytes(file_of(np.asarray(array, np.uint8)))
    assert idx.load_idx_images(tmp_path)[1].tolist() == [3, 4]


def test_folders_that_do_not_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no train-images-idx3-ubyte, nor"):
        idx.load_idx_images(tmp_path)
    write(tmp_path, labels=[1, 2, 3])
    with pytest.raises(ValueError, match="2 images, but 3 labels in train-labels-idx1-ubyte"):
        idx.load_idx_images(tmp_path)
    write(tmp_path, images=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"images are \[N, H, W\] of bytes, not \[2, 3\]"):
        idx.load_idx_images(tmp_path)
    write(tmp_path, labels=np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"labels are \[N\] of bytes"):
        idx.load_idx_images(tmp_path)
    write(tmp_path, images=np.zeros((0, 3, 3)), labels=[])
    with pytest.raises(ValueError, match="there are no images"):
        idx.load_idx_images(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'train'"):
        idx.load_idx_images(tmp_path, "trian")


@pytest.fixture
def network(monkeypatch):
    """A network that serves files by their addresses, and notes what it was asked for."""
    served, asked = {}, []

    def urlopen(url, timeout):
        asked.append(url)
        if url not in served:
            raise urllib.error.URLError("no route to host")
        return io.BytesIO(served[url])

    monkeypatch.setattr(idx.urllib.request, "urlopen", urlopen)
    return served, asked


def test_downloads_are_checked_and_made_once(network, monkeypatch, tmp_path):
    served, asked = network
    address, sums = idx.SOURCES["mnist"]
    contents = {name: gzip.compress(file_of(np.arange(3, dtype=np.uint8))) for name in sums}
    served.update({f"{address}{name}.gz": content for name, content in contents.items()})
    with pytest.raises(ValueError, match=r"MD5 sum .* not f68b3c2d"):
        idx.download_idx("mnist", tmp_path / "mnist")
    assert not (tmp_path / "mnist").exists()
    right = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setitem(idx.SOURCES, "mnist", (address, right))
    assert idx.download_idx("mnist", tmp_path / "mnist") == tmp_path / "mnist"
    assert sorted(p.name for p in (tmp_path / "mnist").iterdir()) == sorted(f"{n}.gz" for n in sums)
    before = len(asked)
    idx.download_idx("mnist", tmp_path / "mnist")
    assert len(asked) == before == 5


def test_without_a_network_it_says_what_to_do(network, tmp_path):
    with pytest.raises(ConnectionError, match=r"no route to host\); put the four files of fashion"):
        idx.download_idx("fashion_mnist", tmp_path)
    with pytest.raises(ValueError, match="did you mean 'fashion_mnist'"):
        idx.download_idx("fashion-mnist", tmp_path)
