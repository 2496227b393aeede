"""N-grams: how probable a token is behind the few before it, by interpolated Kneser-Ney.

Counted on the host, exactly; the baseline that a neural language model has to beat.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import positive_int

FALLBACK = (0.5, 1.0, 1.5)  # KenLM's, for texts too small for discounts of their own


class Order(NamedTuple):
    """The k-grams of one length k.

    keys: sorted, ``context * V + token``; a context is the place of its (k-1)-gram among those.
    counts: of each. totals, kept_back: of each context, the sum of its counts, and the share that
    goes to the order below. discounts: D_1, D_2 and D_3+.
    """

    keys: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    kept_back: np.ndarray
    discounts: tuple[float, float, float]


class NgramModel(NamedTuple):
    """An n-gram model over V tokens: its orders 1, ..., n."""

    num_tokens: int
    orders: tuple[Order, ...]


def kneser_ney(
    tokens: Any,
    *,
    order: int,
    num_tokens: int,
    fallback: tuple[float, float, float] | None = None,
) -> NgramModel:
    """Modified, interpolated Kneser-Ney of n = ``order``.

    ``p_k(w | c) = max(a(c w) - D(a(c w)), 0) / a(c) + b(c) p_{k-1}(w | c')`` with c' = c without its
    first token, ``b(c)`` what the discounts took, and p_0 = 1 / V, so that every token has a
    probability. The counts a are those of the text for k = n; below, in how many different tokens'
    wake an n-gram came. Source: Chen & Goodman (1998).

    Args:
      tokens: a text's ids [T] below ``num_tokens`` = V.
      fallback: discounts for an order whose own do not exist, see ``discounts``; None refuses.

    Raises a ValueError for a text of fewer than n tokens, for ids outside the vocabulary, and from
    ``discounts``.

    >>> model = kneser_ney([0, 1, 0, 1, 1], order=2, num_tokens=3, fallback=FALLBACK)
    >>> float(probabilities(model, [0]).sum().round(6))
    1.0
    """
    order, num_tokens = positive_int("order", order), positive_int("num_tokens", num_tokens)
    tokens = _checked(tokens, num_tokens)
    if len(tokens) < order:
        raise ValueError(f"a text of {len(tokens)} tokens has no {order}-gram")
    ends = np.zeros(len(tokens) + 1, np.int64)  # the place of the (k-1)-gram behind which one comes
    keys, firsts, counts, places = [], [], [], []
    for k in range(1, order + 1):
        at = np.arange(k - 1, len(tokens))
        pairs = ends[at] * num_tokens + tokens[at]
        found, first, place, count = np.unique(
            pairs, return_index=True, return_inverse=True, return_counts=True
        )
        ends = np.zeros(len(tokens) + 1, np.int64)
        ends[at + 1] = place
        keys.append(found)
        firsts.append(at[first])
        counts.append(count)
        places.append(ends)
    for k in range(order - 1):  # every longer gram adds one to the gram that it ends with
        endings = places[k][firsts[k + 1] + 1]
        counts[k] = np.bincount(endings, minlength=len(keys[k]))
    contexts = [1, *(len(found) for found in keys[:-1])]
    return NgramModel(
        num_tokens,
        tuple(
            _order(k, *parts, num_tokens, fallback)
            for k, parts in enumerate(zip(keys, counts, contexts, strict=True), start=1)
        ),
    )


def discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """``D_1 = 1 - 2 Y n_2/n_1, D_2 = 2 - 3 Y n_3/n_2, D_3+ = 3 - 4 Y n_4/n_3``, Y = n_1/(n_1 + 2 n_2).

    n_j is how many ``counts`` are j. Raises a ValueError where one is 0 that is divided by, and
    where a D_j is outside 0 to j: on a small text these say nothing. Source: Chen & Goodman (1998).

    >>> discounts(np.repeat([1, 2, 3, 4], [8, 4, 2, 1]))
    (0.5, 1.25, 2.0)
    """
    n = [int(np.sum(counts == j)) for j in (1, 2, 3, 4)]
    if not all(n[:3]):
        raise ValueError(f"no discounts from n_1, ..., n_4 = {n}: one that divides is 0")
    y = n[0] / (n[0] + 2 * n[1])
    one, two, more = (j - (j + 1) * y * n[j] / n[j - 1] for j in (1, 2, 3))
    found = one, two, more
    if not all(0 <= d <= j for j, d in enumerate(found, start=1)):
        shown = ", ".join(f"{d:.4g}" for d in found)
        raise ValueError(f"discounts {shown} from n_1, ..., n_4 = {n} are outside 0 to 1, 2, 3")
    return found


def ngram_log_prob(model: NgramModel, tokens: Any, *, context: Any = ()) -> np.ndarray:
    """``log p(w_t | w_{t-n+1}, ..., w_{t-1})`` [T] of each token of a text, in nats.

    The first tokens see what there is of ``context`` before them, and no more.
    """
    n = len(model.orders)
    tokens, context = _checked(tokens, model.num_tokens), _checked(context, model.num_tokens)
    before = context[len(context) - min(len(context), n - 1) :]
    row = np.concatenate([np.full(n - 1 - len(before), -1), before, tokens])
    grams = np.lib.stride_tricks.sliding_window_view(row, n) if len(tokens) else row[:0, None]
    return np.log(_probability(model, grams))


def probabilities(model: NgramModel, context: Any = ()) -> np.ndarray:
    """``p(w | context)`` [V] of every token; at most the last n - 1 of the context count."""
    n, tokens = len(model.orders), np.arange(model.num_tokens)
    context = _checked(context, model.num_tokens)
    before = context[len(context) - min(len(context), n - 1) :]
    history = np.concatenate([np.full(n - 1 - len(before), -1), before])
    grams = np.concatenate([np.tile(history, (len(tokens), 1)), tokens[:, None]], axis=1)
    return _probability(model, grams)


def _order(k, keys, counts, contexts, num_tokens, fallback):
    try:
        taken = discounts(counts)
    except ValueError as error:
        if fallback is None:
            raise ValueError(f"order {k}: {error}; give a fallback, such as {FALLBACK}") from None
        taken = fallback
    context = keys // num_tokens
    totals = np.bincount(context, counts, minlength=contexts)
    back = np.bincount(context, _discount(taken, counts), minlength=contexts)
    return Order(keys, counts, totals, back / np.maximum(totals, 1), taken)


def _discount(taken, counts):
    """D of each count, no more than the count itself."""
    return np.minimum(np.array([0.0, *taken])[np.minimum(counts, 3)], counts)


def _probability(model, grams):
    """p(last token | those before) of grams [N, n], -1 where there is no token."""
    p = np.full(len(grams), 1 / model.num_tokens)
    for k, order in enumerate(model.orders, start=1):
        context = np.zeros(len(grams), np.int64)
        for lower, token in zip(model.orders, grams[:, -k:-1].T, strict=False):
            context = _find(lower, context, token, model.num_tokens)
        total = np.where(context >= 0, order.totals[context], 0)
        known = total > 0
        place = _find(order, context, grams[:, -1], model.num_tokens)
        count = np.where(place >= 0, order.counts[place], 0)
        share = (count - _discount(order.discounts, count)) / np.where(known, total, 1)
        p = np.where(known, share + order.kept_back[context] * p, p)
    return p


def _find(order, context, token, num_tokens):
    """The places of grams, -1 where there are none."""
    key = np.where((context >= 0) & (token >= 0), context * num_tokens + token, -1)
    place = np.minimum(np.searchsorted(order.keys, key), len(order.keys) - 1)
    return np.where(order.keys[place] == key, place, -1)


def _checked(tokens, num_tokens):
    tokens = np.asarray(tokens)
    if tokens.size == 0:
        return np.zeros(0, np.int64)
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"a text is one row of whole ids, not {tokens.dtype} {list(tokens.shape)}")
    if tokens.min() < 0 or tokens.max() >= num_tokens:
        wrong = tokens.min() if tokens.min() < 0 else tokens.max()
        raise ValueError(f"token {wrong} is outside the vocabulary 0, ..., {num_tokens - 1}")
    return tokens.astype(np.int64)
