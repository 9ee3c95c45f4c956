"""Whitening with control tokens: mean and covariance in one stream, then a map that makes the controls a unit ball."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.blocks import Work, run_blocks
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.moments import GroupedMoments

Kind = Literal["none", "center", "pca", "tvn"]

MIN_GROUP = 32  # tokens below which a group's offset is not estimated
TOKENS_A_COMPONENT = 5  # control tokens that each kept component asks for
_RELATIVE_TAIL = 1e-6  # components with less variance than this share of the largest are dropped
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Whitening:
    """An affine map fitted on control tokens; ``whitening(x)`` gives (n, p) float32, never normed.

    Attributes
    ----------
    kind : {"none", "center", "pca", "tvn"}
    mean : float64 array (d,)
    matrix : float64 array (d, p)
        ``y = (x - mean) @ matrix``.
    eigenvalues : float64 array (p,)
        Control variance along each kept component, falling, before the floor (ones for "none" and "center").
    scale : float64 array (d,)
        Standard deviation of each dimension by which "tvn" divides first (ones otherwise; 0 marks a constant
        dimension).
    floor : float
        Share of the mean eigenvalue that is added to each.
    floor_value : float
        That addition itself.
    n : int
        Control tokens.
    group_offset : float64 array (n_groups, d) or None
        What is taken off the tokens of each group (tile position) before whitening.
    group_counts : int64 array (n_groups,) or None
    warnings : tuple of str
        What to know about the fit.
    """

    kind: Kind
    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    scale: NDArray[np.float64]
    floor: float
    floor_value: float
    n: int
    group_offset: NDArray[np.float64] | None = None
    group_counts: NDArray[np.int64] | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def d(self) -> int:
        """Dimensions of a token."""
        return int(self.matrix.shape[0])

    @property
    def p(self) -> int:
        """Dimensions of a whitened token."""
        return int(self.matrix.shape[1])

    @classmethod
    def fit(
        cls,
        chunks: Iterable[Any],
        kind: Kind = "pca",
        *,
        floor: float = 1e-3,
        keep: int | None = None,
        n_groups: int | None = None,
    ) -> Whitening:
        """Fit on control tokens in one pass.

        Mean and covariance are accumulated in float64 by merging centred chunks (Chan et al. 1983), so tokens far
        from zero lose no digits. With groups (the place of a token in its tile, a nuisance that whitening would lift
        to full strength) each group's mean offset, shrunk by n / (n + tau) and zero below 32 tokens, is taken off
        first, and the covariance is that of the tokens so corrected, which is the covariance within groups up to the
        shrinkage. tau is the variance within groups over that between their true means, by component, by the method
        of moments.

        Each eigenvalue becomes max(lam, 0) + floor * mean(lam). Components are kept where lam > 1e-6 of the largest,
        and at most one for each 5 control tokens. The sign of a component is such that its largest entry is positive.

        Parameters
        ----------
        chunks : iterable of arrays (n_i, d), or of tuples (x (n_i, d), groups (n_i,))
            Groups are whole numbers from 0; -1 means no group.
        kind : {"none", "center", "pca", "tvn"}
            "none": as they are; "center": minus the control mean; "pca": to zero mean and unit covariance (ICFL);
            "tvn": standardised, then as "pca" (the first three steps of typical variation normalisation; CORAL by
            plate is not part of it).
        floor : float
            0 or more.
        keep : int, optional
            At most so many components, in place of one for each 5 tokens.
        n_groups : int, optional
            Number of groups; else one more than the largest seen.

        Raises
        ------
        DictionaryError
            No tokens, chunks of different widths, numbers that are not finite, an unknown kind, no variance at all.
        """
        if kind not in get_args(Kind):
            raise DictionaryError(f"whitening {kind!r} is unknown; choose one of {', '.join(get_args(Kind))}")
        if not (np.isfinite(floor) and floor >= 0):
            raise DictionaryError(f"the eigenvalue floor is {floor!r}; give a number of 0 or more")
        if keep is not None and keep < 1:
            raise DictionaryError(f"keep is {keep!r}; give a whole number of 1 or more, or None")
        moments = GroupedMoments(n_groups)
        for chunk in chunks:
            x, groups = chunk if isinstance(chunk, tuple) else (chunk, None)
            moments.add(x, groups)
        if moments.n < 2:
            raise DictionaryError(f"{moments.n} control tokens came; whitening needs two at least: check the controls")
        offset = moments.offsets(MIN_GROUP)
        mean, covariance = moments.corrected(offset)
        notes: list[str] = []
        d = len(mean)
        scale, values, matrix, floor_value = np.ones(d), np.ones(d), np.eye(d), 0.0
        if kind == "none":
            mean = np.zeros(d)
        elif kind != "center":
            if kind == "tvn":
                scale = np.sqrt(np.diag(covariance))
                inverse = np.divide(1.0, scale, out=np.zeros(d), where=scale > 0)
                covariance = covariance * inverse[:, None] * inverse[None, :]
            values, vectors, floor_value, notes = _components(covariance, moments.n, floor, keep)
            matrix = vectors / np.sqrt(values + floor_value)
            if kind == "tvn":
                matrix = matrix * inverse[:, None]
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return cls(
            kind=kind,
            mean=mean,
            matrix=_single(matrix),
            eigenvalues=_single(values),
            scale=_single(scale),
            floor=float(floor),
            floor_value=float(floor_value),
            n=moments.n,
            group_offset=None if offset is None else _single(offset),
            group_counts=None if offset is None else moments.counts(),
            warnings=tuple(notes),
        )

    def __call__(self, x: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.float32]:
        """Whiten tokens.

        Parameters
        ----------
        x : array (n, d)
        groups : int array (n,), optional
            Where given, each token's group offset is taken off first (-1: none). Without it the caller has done so.

        Returns
        -------
        float32 array (n, p)
            Computed in float64, in blocks.

        Raises
        ------
        DictionaryError
            Another width, or numbers that are not finite.
        """
        tokens = np.asarray(x)
        if tokens.ndim != 2 or tokens.shape[1] != self.d:
            raise DictionaryError(f"tokens have shape {tokens.shape}; this whitening takes (n, {self.d})")
        places = None if groups is None else self._places(groups, len(tokens))
        out = np.empty((len(tokens), self.p), np.float32)

        def make_work() -> Work:
            def work(lo: int, hi: int) -> None:
                block = tokens[lo:hi].astype(np.float64)
                if not np.isfinite(block).all():
                    bad = lo + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                    raise DictionaryError(f"token {bad} holds a number that is not finite; drop or mend such tokens")
                if places is not None and self.group_offset is not None:
                    inside = places[lo:hi] >= 0
                    block[inside] -= self.group_offset[places[lo:hi][inside]]
                block -= self.mean
                out[lo:hi] = block if self.kind in ("none", "center") else block @ self.matrix

            return work

        run_blocks(len(tokens), _BLOCK, make_work)
        return out

    def _places(self, groups: ArrayLike, n: int) -> NDArray[np.int64]:
        if self.group_offset is None:
            raise DictionaryError("this whitening was fitted without groups; call it with the tokens alone")
        places = np.asarray(groups).astype(np.int64)
        if places.shape != (n,) or (n and (places.min() < -1 or places.max() >= len(self.group_offset))):
            raise DictionaryError(
                f"groups have shape {places.shape}; give {n} numbers, each from -1 to {len(self.group_offset) - 1}"
            )
        return places

    def inverse(self, y: ArrayLike) -> NDArray[np.float32]:
        """Bring whitened rows (n, p) back to tokens (n, d) float32; what truncation dropped comes back as the mean."""
        rows = np.asarray(y, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.p:
            raise DictionaryError(f"whitened rows have shape {rows.shape}; this whitening gives (n, {self.p})")
        back = (self.scale**2)[:, None] * self.matrix * (self.eigenvalues + self.floor_value)
        return np.asarray(rows @ back.T + self.mean, dtype=np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays to save; `from_arrays` with `meta` brings the whitening back."""
        arrays: dict[str, NDArray[Any]] = {
            "mean": self.mean,
            "matrix": np.ascontiguousarray(self.matrix, np.float32),
            "eigenvalues": self.eigenvalues.astype(np.float32),
            "scale": self.scale.astype(np.float32),
        }
        if self.group_offset is not None and self.group_counts is not None:
            arrays["group_offset"] = self.group_offset.astype(np.float32)
            arrays["group_counts"] = self.group_counts
        return arrays

    def meta(self) -> dict[str, Any]:
        """What is not an array, ready for JSON."""
        return {
            "kind": self.kind,
            "n": self.n,
            "floor": self.floor,
            "floor_value": self.floor_value,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any]) -> Whitening:
        """Bring back what `to_arrays` and `meta` gave."""
        try:
            parts = {name: np.array(arrays[name], np.float64) for name in ("mean", "matrix", "eigenvalues", "scale")}
            offset = np.array(arrays["group_offset"], np.float64) if "group_offset" in arrays else None
            counts = np.array(arrays["group_counts"], np.int64) if "group_counts" in arrays else None
            return cls(
                kind=meta["kind"],
                floor=float(meta["floor"]),
                floor_value=float(meta["floor_value"]),
                n=int(meta["n"]),
                group_offset=offset,
                group_counts=counts,
                warnings=tuple(meta.get("warnings", ())),
                **parts,
            )
        except KeyError as missing:
            raise DictionaryError(
                f"a saved whitening lacks {missing}; it was not written by Whitening.to_arrays"
            ) from None


def _single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to single precision, in which all but the mean is saved: a saved whitening gives the very same numbers."""
    return values.astype(np.float32).astype(np.float64)


def _components(
    covariance: NDArray[np.float64], n: int, floor: float, keep: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, list[str]]:
    """Kept eigenvalues (falling), their vectors (d, p) with settled signs, the floor, and what to warn of."""
    d = len(covariance)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if values[0] <= 0:
        raise DictionaryError(
            "the control tokens are all the same; whitening has nothing to go by: check the control wells"
        )
    floor_value = floor * float(values.mean())
    limit = keep if keep is not None else max(1, n // TOKENS_A_COMPONENT)
    p = max(1, min(int((values > _RELATIVE_TAIL * values[0]).sum()), limit))
    notes = []
    if n < TOKENS_A_COMPONENT * d:
        notes.append(
            f"only {n} control tokens for {d} dimensions; {TOKENS_A_COMPONENT * d} or more are wanted: "
            f"{p} components are kept, and the last of them are uncertain"
        )
    vectors = vectors[:, :p]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(p)]
    return values[:p], vectors * np.where(largest < 0, -1.0, 1.0), floor_value, notes
