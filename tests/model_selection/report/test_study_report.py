"""Reports of studies, read as a reader would: what stands on the page, and what it does in a browser."""

import base64
import dataclasses
import html.parser
import json
import re
from pathlib import Path

import made_study
import numpy as np
import pytest
from browser import CHROMIUM, browser
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import confusion_matrix

from jaxdl.model_selection import report
from jaxdl.model_selection.report import scales

EVIL = "</script><script>document.title='broken'</script>"
VOID = {"meta", "input"}


class Reader(html.parser.HTMLParser):
    """A page as lists: texts of elements by tag, attributes, ids. Raises where tags do not match."""

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.scripts = [], [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [
            e for e in self.elements
            if e["tag"] == tag and all(e.get(k) == v for k, v in attributes.items())
        ]  # fmt: skip

    def table(self, caption):
        """The rows of the table with this caption, the header first."""
        start = next(i for i, e in enumerate(self.elements)
                     if e["tag"] == "caption" and caption in e["text"])  # fmt: skip
        rows = []
        for e in self.elements[start + 1 :]:
            if e["tag"] == "table":
                break
            if e["tag"] == "tr":
                rows.append([])
            elif e["tag"] in ("th", "td"):
                rows[-1].append(e["text"])
        return rows

    def data(self):
        return json.loads(self.all("script", id="data")[0]["text"])


GRID = [{"rate": r, "name": n, "fixed": 7} for r in (0.001, 0.01, 0.1) for n in ("a", "b")]
LOSS = np.array([0.9, 0.8, 0.30, 0.32, 0.6, 0.5])[:, None] + np.array([-0.01, 0.0, 0.01])


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    logits = rng.normal(size=(60, 3)) + 2 * np.eye(3)[y]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return y, p


@pytest.fixture(scope="module")
def study(labels):
    kept = np.broadcast_to(labels[1], (6, 1, 60, 3)).copy()
    kept[0] = 1 / 3  # not the choice's
    return made_study.made(GRID, LOSS, kept)


@pytest.fixture(scope="module")
def written(study, labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    y, _ = labels
    study.report(
        path, y, classes=["one", "two & three", EVIL], columns={"age<b>": np.arange(60) * 2},
        baselines={"forest": [0.4, 0.5, 0.6], "published": 0.31}, title="A <title>",
    )  # fmt: skip
    return path


@pytest.mark.smoke
def test_the_page_needs_nothing_else_and_says_what_was_chosen(written, study):
    page = Reader(written)
    assert "Use rate=0.01, name=a" in page.text
    assert page.all("title")[0]["text"] == page.all("h1")[0]["text"] == "A <title>"
    assert all(link["href"].startswith("#") for link in page.all("a"))
    names = [e["id"] for e in page.elements if "id" in e]
    assert len(names) == len(set(names))
    assert {link["href"][1:] for link in page.all("a")} <= set(names)
    assert not re.search(r"""https?:|src=|@import|url\(""", page.text)
    headings = [e["text"] for e in page.all("h2")]
    assert headings == [
        "At a glance", "Against baselines", "Settings", "Settings against the score",
        "Learning curves", "Confusion", "Calibration", "Where it fails", "Run time and strategy",
    ]  # fmt: skip
    assert "1.5 s" in page.text and "vmap: made by hand" in page.text
    assert "by the mean, of 6 settings" not in page.text and "the mean, of 6 settings" in page.text


def test_texts_of_users_are_harmless(written):
    page = Reader(written)
    assert len(page.all("script")) == 2 and not page.all("b")
    assert EVIL in page.table("True classes")[0] and EVIL not in page.text
    evil = made_study.made([{"a": EVIL}, {"a": "\u202e\x00'\"<!--"}], LOSS[:2])
    evil.report(written.with_name("evil.html"))
    page = Reader(written.with_name("evil.html"))
    assert len(page.all("script")) == 2
    assert page.data()["rows"][1][1] == EVIL and "<!--" not in page.text


def test_the_table_of_settings(written, study):
    page = Reader(written)
    header, *rows = page.table("Settings, best first")
    assert header == ["rank", "rate", "name", "parameters", "nll"]
    assert [r[0] for r in rows] == list("123456")
    assert [r[1] for r in rows] == ["0.01", "0.01", "0.1", "0.1", "0.001", "0.001"]
    error = 0.01 / np.sqrt(3)
    assert rows[0] == ["1", "0.01", "a", "300", f"0.3000 ± {error:.4f}"]
    data = page.data()
    np.testing.assert_allclose([r[4] for r in data["rows"]], np.sort(LOSS.mean(1)))
    assert [c["numeric"] for c in data["columns"]] == [True, True, False, True, True]
    assert "The same in all 6 settings: fixed = 7." in page.text
    assert "1 other setting is within" not in page.text  # 0.32 is 3.5 standard errors away


def test_near_settings_are_counted(tmp_path):
    spread = np.array([-0.03, 0.0, 0.03])
    near = made_study.made(GRID[:4], np.array([0.3, 0.31, 0.315, 0.33])[:, None] + spread)
    near.report(tmp_path / "r.html")
    assert "2 other settings are within one standard error" in (tmp_path / "r.html").read_text()


def test_baselines_are_compared_fold_by_fold(written, study, labels):
    rows = Reader(written).table("nll on the held-out")[1:]
    assert [r[0] for r in rows] == ["the choice", "the class frequencies", "forest", "published"]
    ahead = np.array([0.4, 0.5, 0.6]) - LOSS[2]
    error = ahead.std(ddof=1) / np.sqrt(3)
    assert rows[2][3:] == [f"{ahead.mean():.3g}", f"{ahead.mean() - error:.3g} to {ahead.mean() + error:.3g}"]  # fmt: skip
    assert rows[3][2] == "–" and rows[3][3] == "0.01"
    y, _ = labels
    by_hand = []
    for train, valid in study.folds:
        share = np.array([np.sum(y[train] == k) + 1 for k in range(3)]) / (len(train) + 3)
        by_hand.append(-np.log(share[y[valid]]).mean())
    assert rows[1][1] == f"{np.mean(by_hand):.4g}"
    assert "level with published" not in Reader(written).text


def test_constants_are_scikit_learns(labels):
    y, _ = labels
    x = np.zeros((60, 1))
    accuracy = made_study.made(GRID, LOSS, metric="accuracy", maximize=True)
    found = report.compared.on_folds(accuracy, accuracy.best(), y, None)[1]
    fitted = lambda model, fold: model.fit(x[fold.train], y[fold.train])
    wanted = [fitted(DummyClassifier(), f).score(x[f.valid], y[f.valid]) for f in accuracy.folds]
    assert found.score == pytest.approx(np.mean(wanted))
    assert found.ahead[0] == pytest.approx(0.9 - np.mean(wanted))
    numbers = made_study.made(GRID, LOSS, metric="rmse", responses=made_study.NUMBERS)
    found = report.compared.on_folds(numbers, numbers.best(), y * 1.0, None)[1]
    wanted = [
        np.sqrt(np.mean((fitted(DummyRegressor(), f).predict(x[f.valid]) - y[f.valid]) ** 2))
        for f in numbers.folds
    ]
    assert found.score == pytest.approx(np.mean(wanted))
    assert found.ahead[0] == pytest.approx(np.mean(wanted) - 0.3)


def test_confusion_calibration_and_the_worst_rows(written, labels):
    y, p = labels
    page = Reader(written)
    counts = confusion_matrix(y, p.argmax(1))
    cells = [[int(c.replace("·", "0")) for c in r[1:]] for r in page.table("True classes")[1:]]
    np.testing.assert_array_equal(cells, counts)
    recall = np.diag(counts) / counts.sum(1)
    least = int(recall.argmin())
    precision = counts[least, least] / counts[:, least].sum()
    assert page.table("By class")[1][1:] == [
        str(counts[least].sum()), f"{recall[least]:.4g}", f"{precision:.4g}",
    ]  # fmt: skip
    worst = np.argsort(p[np.arange(60), y])
    rows = page.table("least probability")[1:]
    assert len(rows) == 20 and [int(r[0]) for r in rows] == worst[:20].tolist()
    assert rows[0][3:] == [f"{p[worst[0]].max():.3f}", f"{p[worst[0], y[worst[0]]]:.3g}", str(2 * worst[0])]  # fmt: skip
    bins = page.table("Rows by their confidence")[1:]
    assert sum(int(r[1]) for r in bins) == 60
    sure = p.max(1)
    highest = sure > 0.9
    assert bins[-1][1:] == [
        str(highest.sum()), f"{sure[highest].mean():.4g}", f"{np.mean((p.argmax(1) == y)[highest]):.4g}",
    ]  # fmt: skip


def test_residuals_of_numbers(tmp_path):
    rng = np.random.default_rng(1)
    y = rng.normal(size=60) * 3 + 10
    mean = y + rng.normal(size=60)
    mean[7] = y[7] + 9
    mean[3] = np.nan  # no fold held it out
    kept = np.broadcast_to(mean, (6, 1, 60))
    study = made_study.made(GRID, LOSS, kept, metric="rmse", responses=made_study.NUMBERS)
    study.report(tmp_path / "r.html", y)
    page = Reader(tmp_path / "r.html")
    assert "Of 59 rows" in page.text and not page.all("section", id="confusion")
    tenths = page.table("Calibration")[1:]
    assert sum(int(r[1]) for r in tenths) == 59 and len(tenths) == 10
    first = np.argsort(mean)[:6]
    assert tenths[0][2:] == [
        f"{mean[first].mean():.4g}", f"{y[first].mean():.4g}",
        f"{np.sqrt(np.mean((y - mean)[first] ** 2)):.4g}",
    ]  # fmt: skip
    assert page.table("largest residuals")[1] == ["7", f"{y[7]:.4g}", f"{mean[7]:.4g}", "9"]


def test_what_a_study_does_not_hold_is_left_out_or_said(study, labels, tmp_path):
    path = tmp_path / "r.html"
    study.report(path)
    assert "report(path, y)" in path.read_text() and 'id="baselines"' not in path.read_text()
    dataclasses.replace(study, predictions=None).report(path, labels[0])
    assert "keep=&quot;predictions&quot;" in path.read_text()
    dataclasses.replace(study, predictions=np.zeros((6, 1, 60, 4, 5))).report(path, labels[0])
    assert "neither of classes nor of single numbers" in path.read_text()
    made_study.made([{}], LOSS[:1]).report(path)
    alone = Reader(path)
    assert not alone.all("section", id="pictures") and "Use the one setting" in alone.text
    dataclasses.replace(study, diverged=np.ones((6, 3, 1), bool), unfit=np.zeros(3, bool)).report(path)  # fmt: skip
    assert "Nothing can be chosen: every setting has a diverged member" in path.read_text()


def test_what_does_not_fit_is_refused_and_nothing_is_written(study, labels, tmp_path):
    y, _ = labels
    for wrong, said in [
        ({"y": y[:50]}, "not of the study's 60 rows"),
        ({"y": y, "classes": ["a", "b"]}, "2 classes"),
        ({"y": y, "columns": {"age": [1, 2]}}, "age has 2 rows"),
        ({"y": y, "baselines": {"a": [1, 2]}}, "the score of 'a' is one number or 3"),
    ]:
        with pytest.raises(ValueError, match=said):
            study.report(tmp_path / "r.html", **wrong)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        study.report(tmp_path / "no" / "r.html")


def test_another_choice_is_what_the_page_goes_by(study, tmp_path):
    both = dataclasses.replace(study, scores={"nll": LOSS[..., None], "accuracy": 1 - LOSS[::-1, :, None]})  # fmt: skip
    both.report(tmp_path / "r.html", choice=both.best("accuracy"))
    page = Reader(tmp_path / "r.html")
    assert "Use rate=0.01, name=b" in page.text and "more is better" in page.text
    assert page.table("Settings, best first")[1][4].startswith("0.7000 ± ")


@pytest.mark.parametrize("maximize", [False, True])
def test_the_best_is_on_top(tmp_path, maximize):
    study = made_study.made(GRID, LOSS, metric="auc" if maximize else "nll", maximize=maximize)
    study.report(tmp_path / "r.html")
    page = Reader(tmp_path / "r.html")
    heights = {}
    for circle in page.all("circle"):
        if "setting" in circle["class"]:
            heights.setdefault(int(circle["data-s"]), float(circle["cy"]))  # of the first panel
    order = sorted(heights, key=heights.get)
    assert order == study.ranking().tolist()
    chosen = [e for e in page.all("path") if "chosen" in e.get("class", "")]
    assert [e["data-s"] for e in chosen] == [str(order[0])]


def test_scales():
    scale = scales.of_numbers(1, 100, log=True)
    np.testing.assert_allclose(scale([1, 10, 100, 1e4, 0.1]), [0, 0.5, 1, 1, 0])
    assert [t for _, t in scales.of_numbers(2, 9).ticks] == ["2", "4", "6", "8"]
    assert [t for _, t in scales.of_numbers(0.0012, 0.0049, log=True).ticks] == ["0.002"]
    low, high = (scales.of_numbers(3, 3)(3), scales.of_numbers(0, 0)(0))
    assert low == high == 0.5
    few = scales.of_settings([0.1, 0.0, 10.0, 0.1])  # evenly, in order
    np.testing.assert_allclose(few.places, [0.5, 1 / 6, 5 / 6, 0.5])
    assert [t for _, t in few.ticks] == ["0", "0.1", "10"]
    many = scales.of_settings([10.0 ** (-i / 4) for i in range(17)])
    np.testing.assert_allclose(many.places, 1 - np.arange(17) / 16)
    far = scales.of_scores(np.array([1.0, 1.1, 1.2, 1.3, 1e6]), maximize=False)
    np.testing.assert_allclose(far([1.0, 1e6]), [1, 0])
    assert far(1.3) == pytest.approx(1 - 0.3 / 0.9)  # three quarters lie within 0.3


def test_large_studies_stay_small_and_say_what_is_shown(tmp_path):
    rng = np.random.default_rng(0)
    grid = [{"rate": float(r), "width": int(w)} for r, w in rng.uniform(1, 99, (1500, 2))]
    y = rng.normal(size=20_000)
    kept = np.broadcast_to(y + 1, (1500, 1, 20_000))
    study = made_study.made(
        grid, rng.normal(size=(1500, 2)), kept, metric="rmse", rows=20_000, responses=made_study.NUMBERS
    )  # fmt: skip
    study.report(tmp_path / "r.html", y)
    page = Reader(tmp_path / "r.html")
    assert len(page.text) < 1e6
    assert len(page.data()["rows"]) == 1000 and "The best 1000 of 1500 settings" in page.text
    assert "Drawn are 300 of 1500 settings." in page.text
    assert "1,000 of 20,000 rows are drawn" in page.text
    assert len(page.all("path", **{"class": "setting q4 chosen"})) == 1


VISIBLE = "[...document.querySelectorAll('#settings-table tbody tr')].filter(r => !r.hidden).map(r => r.cells[%d].textContent)"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser(written):
    with browser() as page:
        page.size(390, mobile=True)
        page.open(written)
        assert page.run("document.documentElement.scrollWidth") == 390
        assert page.run("document.title") == "A <title>"
        assert page.run(VISIBLE % 0) == list("123456")
        assert page.run("document.getElementById('count').textContent") == "6 of 6 settings"

        click = lambda what: page.run(f"document.querySelector({what!r}).click()")
        click("[data-sort='3']")
        assert page.run(VISIBLE % 3) == [str(n) for n in range(100, 700, 100)]
        click("[data-sort='3']")
        assert page.run(VISIBLE % 3)[0] == "600"
        sorts = "[...document.querySelectorAll('#settings-table th[aria-sort]')].map(h => h.ariaSort)"  # fmt: skip
        assert page.run(sorts) == ["none", "none", "none", "descending", "none"]
        click("[data-sort='4']")
        assert page.run(VISIBLE % 0) == list("123456")

        page.run(
            "{const f = document.querySelector('[data-equals=\"2\"]'); f.value = '=b';"
            "f.dispatchEvent(new Event('input', {bubbles: true}))}"
        )
        assert page.run(VISIBLE % 2) == ["b"] * 3
        assert page.run("document.getElementById('count').textContent") == "3 of 6 settings"
        drawn = "[...document.querySelectorAll('path.setting')].filter(p => p.getClientRects().length && getComputedStyle(p).display != 'none').length"  # fmt: skip
        assert page.run(drawn) == 3
        assert page.run("new Promise(done => {document.querySelector('#filters [type=reset]').click(); setTimeout(() => done(" + VISIBLE % 0 + "), 50)})") == list("123456")  # fmt: skip

        click("[data-mark='5']")
        assert page.run("document.querySelectorAll('.on').length") == page.run("document.querySelectorAll('[data-s=\"5\"]').length") > 2  # fmt: skip
        assert page.run("document.querySelector('[data-mark=\"5\"]').ariaPressed") == "true"

        light = page.run("getComputedStyle(document.body).backgroundColor")
        page.scheme("dark")
        assert light == "rgb(255, 255, 255)" != page.run("getComputedStyle(document.body).backgroundColor")  # fmt: skip
        assert page.requests == [written.as_uri()] and page.said == []
        page.run("setTimeout(() => { throw new Error('heard') })")
        page.run("new Promise(done => setTimeout(done, 50))")
        assert len(page.said) == 1  # errors would be seen
        assert base64.b64decode(page.send("Page.printToPDF")["data"]).startswith(b"%PDF")


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return np.dot((0.2126, 0.7152, 0.0722), linear)


def contrast(one, other):
    low, high = sorted(luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", range(3), ids=["light", "dark", "print"])
def test_contrast_is_wcags(theme):
    """4.5 for text on all that is behind it, 3 for lines and points that are told apart."""
    css = (Path(report.__file__).parent / "page.css").read_text()
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[theme]
    colours = {}
    for name, value in re.findall(r"--([\w-]+): #(\w+)", block):
        long = value if len(value) == 6 else "".join(2 * digit for digit in value)
        colours[name] = np.array([int(long[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    behind = [colours["paper"], colours["wash"]]
    texts = [(colours[name], b) for name in ("ink", "soft", "accent", "warn") for b in behind]
    shares = [int(share) / 100 for share in re.findall(r"var\(--accent\) (\d+)%", css)]
    assert len(shares) == 4  # of the accent behind the numbers of a confusion matrix
    mixed = [s * colours["accent"] + (1 - s) * colours["paper"] for s in shares]
    texts += [(colours["ink"], b) for b in mixed] + [(colours["on-accent"], colours["accent"])]
    assert min(contrast(*pair) for pair in texts) >= 4.5
    lines = set(re.findall(r"path\.c\d[^{]*\{ stroke: var\(--(\w+)\)", css)) | {"accent"}
    assert lines >= {"ink", "soft"}
    assert min(contrast(colours[name], colours["paper"]) for name in lines) >= 3
