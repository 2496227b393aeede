"""ZIP and NPY files as bytes, whole or broken on purpose."""

import io
import zipfile


def zip_bytes(files, method=zipfile.ZIP_DEFLATED):
    """A ZIP file of members by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy_bytes(header, data=b""):
    """An NPY file of version 1 whose header may claim anything."""
    text = repr(header).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data
