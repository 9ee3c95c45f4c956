"""Linear probes: how well a straight cut through the wells' embeddings tells their classes apart, out of fold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.protocol import Floats, Ints
from napari_phenolens.progress import CancelCallback, check_cancelled

FOLDS = 5  # at most; a class with fewer groups allows no more than it has
REPEATS = 5  # divisions into folds over which a well's outcome is averaged
INNER_FOLDS = 3
STRENGTHS = tuple(10.0**e for e in range(-4, 1))  # C of the logistic regression, from the strongest regularisation
NEWTON_UP_TO = 400
DRAWS_OF_FOLDS = 50  # tries at a division in which every class is trained on

Split = tuple[Ints, Ints]  # rows to train on, rows to test on


def divide(label: Ints, group: Ints, folds: int, seed: int) -> list[Split]:
    """Divide wells into folds: classes spread evenly, a group never on both sides.

    Parameters
    ----------
    label : ndarray (n,) int
        Class of each well.
    group : ndarray (n,) int
        Group of each well.
    folds : int
        Number of folds at most; no more than the groups of the class that has fewest.
    seed : int
        Which of the many divisions.

    Returns
    -------
    list of (train, test)
        Row numbers; every well is tested once. Empty where some class has fewer than two groups, or no division leaves
        every class something to train on.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    classes = np.unique(label)
    fewest = min(len(np.unique(group[label == c])) for c in classes)
    folds = min(folds, fewest)
    if folds < 2:
        return []
    alone = len(np.unique(group)) == len(group)
    for attempt in range(1 if alone else DRAWS_OF_FOLDS):
        kind = StratifiedKFold if alone else StratifiedGroupKFold
        splitter = kind(folds, shuffle=True, random_state=seed * DRAWS_OF_FOLDS + attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer wells than folds is looked at below
            found = list(splitter.split(np.zeros((len(label), 1)), label, group))
        if all(len(test) and len(np.unique(label[train])) == len(classes) for train, test in found):
            return found
    return []


def class_mean(right: Floats, label: Ints) -> float:
    """Give the mean over classes of their wells' mean; of wells told right it is the balanced accuracy."""
    return float(np.mean([right[label == c].mean() for c in np.unique(label)]))


def probe(
    embeddings: npt.NDArray[np.floating],
    label: Ints,
    group: Ints,
    *,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = 0,
    cancel: CancelCallback | None = None,
) -> Floats:
    """Predict every well's class from wells of other groups, by logistic regression.

    Each dimension is standardised by the training wells; classes weigh the same whatever their numbers; the strength of
    the regularisation is the one with the smallest log-loss on folds inside the training wells, classes weighing the
    same there too (with few wells accuracies are often equal where likelihoods are not).

    Parameters
    ----------
    embeddings : ndarray (n, d)
        One row a well.
    label, group : ndarray (n,) int
        Class and group of each well; a group is never trained and tested on at once.
    folds, repeats : int
        Folds, and divisions into folds.
    seed : int
        Seed of the divisions: the same for every block, so that blocks are compared on equal terms.
    cancel : callable, optional
        Asked between folds.

    Returns
    -------
    ndarray (n,)
        Share of the repeats in which the well's class was predicted right.

    Raises
    ------
    AnalysisError
        Where the groups allow no division.

    Notes
    -----
    The probes of Donhauser et al. 2025 (1.7: logistic regression, class-balanced, well means, balanced accuracy) and of
    Kenyon-Dean et al. 2025 (block search), which leave the regularisation open.
    """
    from sklearn import config_context
    from threadpoolctl import threadpool_limits

    classes = np.unique(label)
    right = np.zeros(len(label))
    # Thousands of small fits: BLAS threads would only wait for each other, and checks of input take longer than fits.
    with threadpool_limits(1, user_api="blas"), config_context(assume_finite=True, skip_parameter_validation=True):
        for repeat in range(repeats):
            outer = divide(label, group, folds, seed + repeat)
            if not outer:
                raise AnalysisError(
                    "the groups allow no division of the wells in which every class is both trained and tested on; "
                    "choose another column for --group, in which every class has wells of two groups or more"
                )
            for train, test in outer:
                check_cancelled(cancel)
                strength = _strength(embeddings[train], label[train], group[train], seed + repeat)
                chances = next(predictions(embeddings, label, train, test, (strength,)))
                right[test] += classes[chances.argmax(1)] == label[test]
    return right / repeats


def _strength(embeddings: npt.NDArray[np.floating], label: Ints, group: Ints, seed: int) -> float:
    """Choose C on folds inside the training wells; the middle one where they allow no folds."""
    inner = divide(label, group, INNER_FOLDS, seed)
    if not inner:
        return STRENGTHS[len(STRENGTHS) // 2]
    place = np.searchsorted(np.unique(label), label)
    loss = np.zeros((len(STRENGTHS), len(label)))
    for train, test in inner:
        for i, chances in enumerate(predictions(embeddings, label, train, test, STRENGTHS)):
            loss[i, test] = -np.log(np.maximum(chances[np.arange(len(test)), place[test]], 1e-12))
    return STRENGTHS[int(np.argmin([class_mean(row, label) for row in loss]))]


def predictions(
    embeddings: npt.NDArray[np.floating], label: Ints, train: Ints, test: Ints, strengths: tuple[float, ...]
) -> Iterator[Floats]:
    """Train on some wells and predict others, once for each strength of the regularisation.

    Parameters
    ----------
    embeddings : ndarray (n, d)
        One row a well.
    label : ndarray (n,) int
        Class of each well.
    train, test : ndarray of int
        Rows to train on, and to predict.
    strengths : tuple of float
        Values of C, ascending.

    Yields
    ------
    ndarray (tested, classes)
        Chance of each class of the training wells, in ascending order.

    Notes
    -----
    The fit is done in the span of the training wells: a penalty on the length of the weights does not see a rotation,
    so that the outcome is that of all dimensions, in a few of them.
    """
    from sklearn.linear_model import LogisticRegression

    known = np.asarray(embeddings[train], np.float64)
    centre, spread = known.mean(0), known.std(0)
    keep = spread > 1e-9 * np.maximum(np.abs(centre), 1e-300)
    if not keep.any():  # nothing tells these wells apart: every class is as likely
        for _ in strengths:
            yield np.full((len(test), len(np.unique(label[train]))), 1 / len(np.unique(label[train])))
        return
    known = (known[:, keep] - centre[keep]) / spread[keep]
    asked = (np.asarray(embeddings[test], np.float64)[:, keep] - centre[keep]) / spread[keep]
    _, sizes, axes = np.linalg.svd(known, full_matrices=False)
    axes = axes[sizes > 1e-9 * sizes[0]].T
    known, asked = known @ axes, asked @ axes
    classes, place, counts = np.unique(label[train], return_inverse=True, return_counts=True)
    fair = (len(train) / (len(classes) * counts))[place]
    unknowns = known.shape[1] * (1 if len(classes) == 2 else len(classes))
    # Newton's method takes half the time while its matrix of second derivatives is small.
    solver = "newton-cholesky" if unknowns <= NEWTON_UP_TO else "lbfgs"
    model = LogisticRegression(solver=solver, max_iter=1000, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength)
        model.fit(known, label[train], sample_weight=fair)
        yield np.asarray(model.predict_proba(asked))
