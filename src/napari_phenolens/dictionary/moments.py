"""Mean and covariance of a stream of rows, by group, without loss of digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.dictionary.errors import DictionaryError


class GroupedMoments:
    """Counts, means by group and the scatter within groups, in float64 (Chan, Golub and LeVeque, 1983).

    Rows of no group (-1) are held as one group more, which takes no offset.
    """

    def __init__(self, n_groups: int | None = None) -> None:
        if n_groups is not None and n_groups < 1:
            raise DictionaryError(f"n_groups is {n_groups!r}; give a whole number of 1 or more, or None")
        self._declared = n_groups
        self._grouped = n_groups is not None
        self._n = np.zeros(1 + (n_groups or 0), np.int64)  # place 0: rows of no group
        self._mean: NDArray[np.float64] = np.zeros((len(self._n), 0))
        self._scatter: NDArray[np.float64] = np.zeros((0, 0))

    @property
    def n(self) -> int:
        """Rows so far."""
        return int(self._n.sum())

    def counts(self) -> NDArray[np.int64]:
        """Rows of each group, without those of none."""
        return self._n[1:].copy()

    def add(self, x: Any, groups: Any = None) -> None:
        """Take in rows x (n, d), and their groups (n,) where they have any."""
        rows = np.asarray(x)
        if rows.ndim != 2:
            raise DictionaryError(f"a chunk of control tokens has shape {rows.shape}; give arrays (n, d)")
        if not len(rows):
            return
        rows = rows.astype(np.float64)
        d = rows.shape[1]
        if not self._mean.shape[1]:
            self._mean, self._scatter = np.zeros((len(self._n), d)), np.zeros((d, d))
        if d != self._mean.shape[1]:
            raise DictionaryError(
                f"a chunk of control tokens has {d} dimensions, those before had {self._mean.shape[1]}"
            )
        if not np.isfinite(rows).all():
            raise DictionaryError("the control tokens hold numbers that are not finite; drop or mend such tokens")
        place = self._place(groups, len(rows))

        order = np.argsort(place, kind="stable")
        rows, sorted_place = rows[order], place[order]
        here, first, n = np.unique(sorted_place, return_index=True, return_counts=True)
        # two steps of the mean: sums of deviations from a row nearby keep the digits of tokens far from zero
        shift = rows[first]
        repeat = np.repeat(np.arange(len(here)), n)
        rows -= shift[repeat]
        local = np.add.reduceat(rows, first, axis=0) / n[:, None]
        rows -= local[repeat]
        mean = shift + local
        self._scatter += rows.T @ rows
        delta = mean - self._mean[here]
        total = self._n[here] + n
        weight = self._n[here] * n / total
        self._scatter += (delta * weight[:, None]).T @ delta
        self._mean[here] += delta * (n / total)[:, None]
        self._n[here] = total

    def _place(self, groups: Any, n: int) -> NDArray[np.int64]:
        if groups is None:
            return np.zeros(n, np.int64)
        numbers = np.asarray(groups)
        if numbers.shape != (n,) or not np.issubdtype(numbers.dtype, np.integer):
            raise DictionaryError(f"groups have shape {numbers.shape} and type {numbers.dtype}; give {n} whole numbers")
        place = numbers.astype(np.int64) + 1
        if place.min() < 0 or (self._declared is not None and place.max() > self._declared):
            raise DictionaryError(
                f"groups run from {place.min() - 1} to {place.max() - 1}; they must lie between -1 and n_groups - 1"
                + ("" if self._declared is None else f" = {self._declared - 1}")
            )
        self._grouped = True
        more = int(place.max()) + 1 - len(self._n)
        if more > 0:
            self._n = np.concatenate([self._n, np.zeros(more, np.int64)])
            self._mean = np.concatenate([self._mean, np.zeros((more, self._mean.shape[1]))])
        return place

    def offsets(self, minimum: int) -> NDArray[np.float64] | None:
        """Each group's mean less the mean of all grouped rows, shrunk by n / (n + tau); zero below `minimum` rows.

        tau is set for each principal component within groups, by the method of moments: the variance within groups
        over the variance of the true group means. A component without a group effect has tau infinite and no offset;
        where the effect is strong next to the spread nothing is shrunk (empirical Bayes, Efron and Morris 1975).
        """
        if not self._grouped:
            return None
        use = self._n[1:] >= minimum
        n, mean = self._n[1:][use].astype(np.float64), self._mean[1:][use]
        out = np.zeros_like(self._mean[1:])
        if use.sum() < 2:
            return out
        # the scatter is freed of all groups but for rows of none, which are centred on their own mean
        variance, axes = np.linalg.eigh(self._scatter / max(1, self.n - int(np.count_nonzero(self._n))))
        variance = np.maximum(variance, 0.0)
        delta = (mean - (n / n.sum()) @ mean) @ axes
        signal = n @ delta**2 - (len(n) - 1) * variance
        spread = n.sum() - (n @ n) / n.sum()
        tau = np.divide(variance * spread, signal, out=np.full(len(variance), np.inf), where=signal > 0)
        out[use] = (delta * (n[:, None] / (n[:, None] + tau))) @ axes.T
        return out

    def corrected(self, offset: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and covariance (over n - 1) of the rows after each group's offset is taken off."""
        means = self._mean.copy()
        if offset is not None:
            means[1:] -= offset
        mean = (self._n / self.n) @ means
        left = means - mean
        scatter = self._scatter + (left * self._n[:, None]).T @ left
        scatter = (scatter + scatter.T) / 2
        return np.asarray(mean), np.asarray(scatter / (self.n - 1))
