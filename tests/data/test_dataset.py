import numpy as np
import pytest
from sklearn import datasets

from jaxdl.data import load

TABLE = [
    ("digits", (1797, 64), 10),
    ("iris", (150, 4), 3),
    ("wine", (178, 13), 3),
    ("breast_cancer", (569, 30), 2),
    ("diabetes", (442, 10), None),
]


@pytest.mark.parametrize(("name", "shape", "classes"), TABLE, ids=[row[0] for row in TABLE])
def test_embedded_sets_are_scikit_learns(name, shape, classes):
    data = load(name)
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    assert data.x.shape == shape and data.x.dtype == np.float32
    assert len(data.feature_names) == shape[1]
    assert not data.missing and data.name == name
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    np.testing.assert_array_equal(data.y, y)
    if classes is None:
        assert data.task == "regress" and data.y.dtype == np.float32
        assert data.target_names is None
    else:
        assert data.task == "classify" and data.y.dtype == np.int32
        assert sorted(set(data.y.tolist())) == list(range(classes))
        assert len(data.target_names) == classes


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"data set is one of digits, iris, wine, .*not 'mnist'"):
        load("mnist")
