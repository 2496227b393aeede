"""Headless Chromium by its DevTools protocol over pipes; the standard library alone."""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")  # fmt: skip


class Page:
    """A page in a browser. said: lines of its console, and errors; requests: what it asked for."""

    def __init__(self, write, read):
        self._write, self._read, self._number = write, read, 0
        self._session = None
        self.said, self.requests, self._events = [], [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]  # fmt: skip
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """The result of a command; what happens meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self):
        text = bytearray()
        while not text.endswith(b"\0"):
            byte = self._read.read(1)
            if not byte:
                raise RuntimeError("the browser went away")
            text += byte
        answer = json.loads(text[:-1])
        method, params = answer.get("method"), answer.get("params", {})
        if method in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
            self.said.append(params)
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        self._events.append(method)
        return answer

    def open(self, path):
        """Load a file to the end."""
        self._events.clear()
        self.send("Page.navigate", url=path.absolute().as_uri())
        while "Page.loadEventFired" not in self._events:
            self._receive()

    def run(self, script):
        """The value of an expression of JavaScript, awaited."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)  # fmt: skip
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def size(self, width, height=844, mobile=False):
        """How large the window is."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)  # fmt: skip

    def scheme(self, name):
        """Whether the reader prefers ``"light"`` or ``"dark"``."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])  # fmt: skip

    def picture(self, path):
        """A PNG of the whole page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser():
    """A Page in a browser of its own."""
    profile = tempfile.mkdtemp(prefix="jaxdl-browser-")
    # Chromium reads from 3 and writes to 4; the ends given to it are far from those.
    pipes = (*os.pipe(), *os.pipe())
    ours_read, theirs_write, theirs_read, ours_write = (
        fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in pipes
    )
    for end in pipes:
        os.close(end)
    start = "import os, sys; r, w, *command = sys.argv[1:]; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(command[0], command)"
    process = subprocess.Popen(
        [sys.executable, "-c", start, str(theirs_read), str(theirs_write), CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
         "--no-first-run", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", f"--user-data-dir={profile}", "--remote-debugging-pipe"],
        pass_fds=(theirs_read, theirs_write), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_read)
    os.close(theirs_write)
    try:
        with os.fdopen(ours_read, "rb") as read:
            yield Page(ours_write, read)
    finally:
        process.terminate()
        process.wait(60)
        os.close(ours_write)
        shutil.rmtree(profile, ignore_errors=True)
