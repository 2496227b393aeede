"""Refit: the choice on all rows, ensembles, and files that hold them."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import classifier, three_classes

from jaxdl import base
from jaxdl.model_selection import cross_validate, member_key, refit
from jaxdl.model_selection.saved import load, read_header, save
from jaxdl.training import fit

DATA = three_classes()


def standardize():
    def fit_(x, mask=None):
        return {
            "mean": jnp.mean(x, 0, where=mask[:, None]),
            "scale": jnp.std(x, 0, where=mask[:, None]),
        }

    return base.Transform(fit_, lambda p, x: (x - p["mean"]) / p["scale"])


@pytest.fixture(scope="module")
def study():
    return cross_validate(
        classifier, {"rate": [0.01, 0.03], "width": [3, 4]}, DATA, key=jax.random.key(0),
        folds=2, epochs=5, batch_size=8, transform=standardize(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def ensemble(study):
    return refit(study, DATA, settings=3, seeds=2)


def test_several_settings_by_index(study):
    fitted = refit(study, DATA, index=[2, 0])
    assert fitted.hparams == [study.hparams[2], study.hparams[0]]
    for index in (4, -5, [0, 9], []):
        with pytest.raises(ValueError, match="index is of 4 settings"):
            refit(study, DATA, index=index)


def test_members_of_one_signature_share_a_program(ensemble):
    """Six members, widths 3 and 4: make_learner is traced twice, not six times."""
    calls = []
    counted = lambda h: (calls.append(1), classifier(h))[1]
    recipe = ensemble.recipe._replace(make_learner=counted)
    widths = {h["width"] for h in ensemble.hparams}
    outputs = ensemble._replace(recipe=recipe).members(DATA[0])
    assert outputs.shape == (6, 47, 3) and len(calls) == len(widths)


def test_refit_equals_fit_on_all_rows(study):
    key = jax.random.key(5)
    fitted = refit(study, DATA, key=jax.random.clone(key), index=1)
    x, y = DATA
    scaled = (x - x.mean(0)) / x.std(0)
    alone = fit(classifier(study.hparams[1]), (scaled, y), key=member_key(key, 0, 0),
                epochs=5, batch_size=8)  # fmt: skip
    np.testing.assert_allclose(fitted.train_loss[0], alone.history.loss, rtol=1e-5)
    np.testing.assert_allclose(
        fitted.predict(x), classifier(study.hparams[1]).predict(alone.state, jnp.asarray(scaled)),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_the_last_smaller_batch_is_left_out_again(study):
    """47 rows in batches of 8: five steps an epoch where the study dropped the sixth."""
    lengths = study.recipe.lengths._replace(remainder="drop")
    dropping = dataclasses.replace(study, recipe=study.recipe._replace(lengths=lengths))
    key = jax.random.key(5)
    fitted = refit(dropping, DATA, key=jax.random.clone(key), index=1)
    x, y = DATA
    how = {"epochs": 5, "batch_size": 8, "key": member_key(key, 0, 0)}
    scaled = ((x - x.mean(0)) / x.std(0), y)
    dropped = fit(classifier(study.hparams[1]), scaled, remainder="drop", **how)
    np.testing.assert_allclose(fitted.train_loss[0], dropped.history.loss, rtol=1e-5)


def test_features_of_another_width_are_refused(study, ensemble, tmp_path):
    """A width of one would be broadcast by the transform."""
    save(tmp_path / "m.npz", ensemble)
    rows = (DATA[0][:3], DATA[1][:3])
    loaded = load(tmp_path / "m.npz", study.recipe, ensemble.hparams, rows)
    for fitted in (ensemble, loaded):
        for x in (DATA[0][:, :3], DATA[0][:, :1], DATA[0][0], DATA[0][None]):
            with pytest.raises(ValueError, match=r"trained on rows of \[4\]: it takes \[B, 4\]"):
                fitted.predict(x)
        with pytest.raises(ValueError, match="but the model was trained on"):
            fitted.predict({"x": DATA[0]})


def test_a_refitted_model_prints_a_few_lines(ensemble):
    lines = repr(ensemble).splitlines()
    assert lines[0] == "trained members: 6, settings: 3, epochs: 5"
    assert len(lines) == 4 and all("2 of 27 parameters" in x or "2 of 35" in x for x in lines[1:])
    loss = ensemble.train_loss[
        [m for m, h in enumerate(ensemble.hparams) if h == ensemble.hparams[0]], -1
    ]
    assert lines[1].endswith(f"training loss {loss.mean():.4g}")


def test_a_member_that_diverged_says_where(study):
    """A learning rate beyond float32's reach, among the settings of the same program."""
    wild = dataclasses.replace(study, hparams=[{**study.hparams[0], "rate": 1e30, "l2": 1e-3}])
    fitted = refit(wild, DATA, index=0)
    assert fitted.diverged.tolist() == [True]
    assert re.search("^in epoch [12]: the loss was (inf|nan): ", fitted.causes[0])
    assert f"1 diverged, the first {fitted.causes[0]}" in repr(fitted)


def test_the_best_is_the_default(study):
    fitted = refit(study, DATA)
    assert fitted.hparams == [study.best().hparams]
    assert fitted.predict(DATA[0]).shape == (47, 3)


def test_an_ensemble_averages_probabilities(study, ensemble):
    best = study.ranking()[:3]
    assert ensemble.hparams == sorted(
        (study.hparams[s] for s in best for _ in range(2)),
        key=lambda h: [g.static for g in _signatures(study, best)].index({"width": h["width"]}),
    )
    members = ensemble.members(DATA[0])
    assert members.shape == (6, 47, 3)
    np.testing.assert_allclose(ensemble.predict(DATA[0]), np.mean(members, 0), rtol=1e-5)
    assert not np.allclose(members[0], members[1])


def _signatures(study, best):
    from jaxdl.model_selection.grid import signatures

    return signatures([study.hparams[s] for s in best])


def test_too_many_settings(study):
    with pytest.raises(ValueError, match="5 settings asked for, 4 did not diverge"):
        refit(study, DATA, settings=5)
    assert len(refit(study, DATA, settings=4).states) == 4
    with pytest.raises(ValueError, match="seeds must be a positive whole number, not 0"):
        refit(study, DATA, seeds=0)


def test_saved_and_loaded_models_predict_the_same(study, ensemble, tmp_path):
    save(tmp_path / "m.npz", ensemble, {"data": "three classes"})
    header = read_header(tmp_path / "m.npz")
    assert header["about"] == {"data": "three classes"}
    assert header["hparams"] == ensemble.hparams
    again = load(tmp_path / "m.npz", study.recipe, header["hparams"], (DATA[0][:3], DATA[1][:3]))
    np.testing.assert_array_equal(again.predict(DATA[0]), ensemble.predict(DATA[0]))


def test_a_file_of_another_model_is_refused(study, ensemble, tmp_path):
    save(tmp_path / "m.npz", ensemble)
    rows = (DATA[0][:3], DATA[1][:3])
    with pytest.raises(ValueError, match="holds another model"):
        load(tmp_path / "m.npz", study.recipe, ensemble.hparams[:2], rows)
    with pytest.raises(ValueError, match="holds another model"):
        load(tmp_path / "m.npz", study.recipe, [{**h, "width": 7} for h in ensemble.hparams], rows)


def test_a_file_holds_so_many_models(study, tmp_path):
    """More are refused before anything is built; as many are looked for."""
    for count, message in ((257, "257 models, of which at most 256 are read"), (256, "none.npz: ")):
        with pytest.raises(ValueError, match=message):
            load(tmp_path / "none.npz", study.recipe, study.hparams[:1] * count, DATA)


def test_damaged_files_get_one_line(ensemble, tmp_path):
    path = tmp_path / "m.npz"
    save(path, ensemble)
    whole = path.read_bytes()
    cases = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello", "zip": b"PK\x03\x04x"}
    middle = len(whole) // 2
    cases["flipped"] = (
        whole[:middle] + bytes(b ^ 255 for b in whole[middle : middle + 40]) + whole[middle + 40 :]
    )
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a saved jaxdl model") as error:
            read_header(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no such file"):
        read_header(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="not a saved jaxdl model"):
        read_header(tmp_path / "other.npz")
    np.savez(tmp_path / "pickle.npz", __header__=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a saved jaxdl model"):
        read_header(tmp_path / "pickle.npz")
