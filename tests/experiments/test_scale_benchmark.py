"""The benchmark of scale runs at a small size; nothing here looks at a clock."""

import json

import numpy as np
import pytest

from experiments.benchmarks import scale
from experiments.benchmarks.scale import Config

SMALL = {
    "members": (5, 10),
    "rows": (20,),
    "features": (3,),
    "devices": (1, 2),
    "others": 5,
    "epochs": 1,
}


def test_slopes():
    values = np.array([1.0, 10.0, 100.0])
    assert scale.slope(values, 3 * values**1.5) == pytest.approx(1.5)
    assert scale.slope(values, [7.0, 7.0, 7.0]) == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_a_block(tmp_path):
    config = Config(**SMALL, only=("devices",), resident=3, out=str(tmp_path / "b"))
    rows = scale.main(config)
    assert [row.way for row in rows] == ["1 devices", "2 devices"]
    assert ["slope" in row.result for row in rows] == [False, True]
    one, two = (row.result.split("score ")[1][:5] for row in rows)
    assert one == two  # devices change no result
    assert len(json.loads((tmp_path / "b" / "scale.json").read_text())["rows"]) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"only": ("cost",)}, "only takes members"),
        ({"members": (3,)}, "members are ascending numbers from 5"),
        ({"rows": ()}, "rows are ascending"),
        ({"devices": (2, 1)}, "devices are ascending"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"others": 4}, "others are members from 5"),
        ({"devices": (1, 4096)}, "not 4096"),
    ],
)
def test_bad_numbers(settings, said):
    with pytest.raises(ValueError, match=said):
        scale.main(Config(**{**SMALL, **settings}))
