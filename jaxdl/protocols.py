"""What each function of a contract takes and gives; the contracts are in ``base``."""

from typing import Any, Protocol

import jax

Array = jax.Array
Key = jax.Array
Params = Any
State = Any
Batch = Any
Metrics = dict[str, Array]


class Init(Protocol):
    """Draw what a learner or a cell starts from; the key is consumed."""

    def __call__(self, key: Key, /) -> Any:
        """Return the parameters; of a learner a TrainState, or a state of its own."""
        ...


class ModelInit(Protocol):
    """Draw the parameters, and the state before the first step; the key is consumed."""

    def __call__(self, key: Key, /) -> tuple[Params, State]:
        """Return ``(params, state)``; a model without statistics has the state ``{}``."""
        ...


class ModelApply(Protocol):
    """Map x [N, ...] to eta [N, ...], which a family's inverse link maps to the mean."""

    def __call__(
        self,
        params: Params,
        state: State,
        x: Any,
        /,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[Any, State]:
        """Return ``(eta, state)``. A model with ``sees_mask`` takes ``mask=None`` [N] as well."""
        ...


class OfPredictor(Protocol):
    """A function of the linear predictor: the mean, or the entropy."""

    def __call__(self, eta: Array, /) -> Array:
        """Return [...] for eta [...], or [..., K] for a family of K of them."""
        ...


class LogProb(Protocol):
    """The log-density, stable in eta (logits, log-rates, ...)."""

    def __call__(self, eta: Array, y: Array, /) -> Array:
        """Return ``log p(y; eta)``, one value for each response."""
        ...


class Sample(Protocol):
    """Draw responses; the key is consumed."""

    def __call__(self, key: Key, eta: Array, /) -> Array:
        """Return one response for each predictor."""
        ...


class Scores(Protocol):
    """What else is reported of a prediction: accuracies, squared errors."""

    def __call__(self, eta: Array, y: Array, /) -> Metrics:
        """Return a dict of values, one for each response."""
        ...


class TransformFit(Protocol):
    """Take from a training part what ``apply`` needs; only ever sees training rows."""

    def __call__(self, x: Any, /, mask: Array | None = None) -> Params:
        """Return the fitted parameters; ``mask`` [N] marks the rows of x that count."""
        ...


class TargetTransformFit(Protocol):
    """The fit of a transform that sees targets, such as the mean response of each category."""

    def __call__(self, x: Any, y: Array, /, mask: Array | None = None) -> Params:
        """Return the fitted parameters; ``mask`` [N] marks the rows of x and y that count."""
        ...


class TransformApply(Protocol):
    """Change features by what was fitted."""

    def __call__(self, params: Params, x: Any, /) -> Any:
        """Return x, changed row by row."""
        ...


class ObjectiveLoss(Protocol):
    """What is minimised: the mean over the examples that count, and what is added to it."""

    def __call__(
        self,
        params: Params,
        state: State,
        batch: Batch,
        /,
        *,
        key: Key | None = None,
        train: bool = False,
        mask: Array | None = None,
    ) -> tuple[Array, tuple[State, Metrics]]:
        """Return ``(scalar, (state, metrics))``; ``mask`` [B] marks what counts, None is all."""
        ...


class ObjectivePredict(Protocol):
    """What a trained model is asked."""

    def __call__(self, params: Params, state: State, x: Any, /) -> Array:
        """Return one array of predictions: ``family.mean(eta)``, log-densities, one a row."""
        ...


class ObjectiveEvaluate(Protocol):
    """How good a trained model is, example by example."""

    def __call__(
        self, params: Params, state: State, batch: Batch, /, *, key: Key | None = None
    ) -> Metrics:
        """Return values [B] by name. The key is for bounds and scores by Monte Carlo."""
        ...


class LearnerStep(Protocol):
    """Learn from one batch."""

    def __call__(
        self, train_state: Any, batch: Batch, /, *, mask: Array | None = None
    ) -> tuple[Any, Metrics]:
        """Return ``(train_state, info)``; info has the scalar ``"loss"`` and is not carried."""
        ...


class LearnerPredict(Protocol):
    """Predict with what was learned."""

    def __call__(self, train_state: Any, x: Any, /) -> Array:
        """Return one array of predictions, one a row of x."""
        ...


class LearnerEvaluate(Protocol):
    """Score what was learned, example by example."""

    def __call__(self, train_state: Any, batch: Batch, /) -> Metrics:
        """Return values [B] by name; what is drawn derives from the state's key."""
        ...


class CellCarry(Protocol):
    """The carry before the first step."""

    def __call__(self, batch_shape: tuple[int, ...], /) -> Any:
        """Return arrays [*batch_shape, ...], zeros or ones."""
        ...


class CellStep(Protocol):
    """One step through time: ``lax.scan``'s own signature behind the parameters."""

    def __call__(self, params: Params, carry: Any, x: Array, /) -> tuple[Any, Array]:
        """Return ``(carry, y)`` for x [..., D] and y [..., H]."""
        ...


class CellUnroll(Protocol):
    """All steps through time at once, with the result and the gradients of ``step``'s."""

    def __call__(
        self, params: Params, carry: Any, x: Array, mask: Array | None, /
    ) -> tuple[Any, Array]:
        """Return ``(carry, y [T, B, H])`` for x [T, B, D].

        A carry stays where mask [T, B] is False; None is all True.
        """
        ...


class DecoderStart(Protocol):
    """Read the source, if there is one, and make room for what is to be generated."""

    def __call__(
        self, params: Params, state: State, source: Any, /, *, rows: int, max_length: int
    ) -> Any:
        """Return the carry, arrays [rows, ...] with the row first; ``source`` is None or of rows.

        Up to ``max_length`` tokens may be read after it.
        """
        ...


class DecoderStep(Protocol):
    """Read the next tokens of each row, and say what may follow each of them."""

    def __call__(
        self,
        params: Params,
        state: State,
        carry: Any,
        tokens: Array,
        /,
        lengths: Array | None = None,
    ) -> tuple[Any, Array]:
        """Return ``(carry, logits [B, T, V])`` for tokens [B, T], as T steps of one token would.

        Only the first ``lengths`` [B] tokens of a row are read (all for None).
        """
        ...


class BijectorInit(Protocol):
    """Draw the parameters of an invertible map; the key is consumed."""

    def __call__(self, key: Key, x: Array | None = None, /) -> Params:
        """Return the parameters; where data x [N, ...] are given, some start from them (actnorm).

        A map that never looks at data may do without the second argument.
        """
        ...


class BijectorMap(Protocol):
    """One direction of an invertible map."""

    def __call__(self, params: Params, value: Array, /) -> tuple[Array, Array]:
        """Return the image and ``log |det|`` of this direction's Jacobian, one an example."""
        ...
