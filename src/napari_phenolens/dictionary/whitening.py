"""Whitening with control tokens: mean and covariance in one stream, then a map that makes the controls a unit ball."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_phenolens.dictionary.blocks import Work, run_blocks
from napari_phenolens.dictionary.errors import DictionaryError
from napari_phenolens.dictionary.moments import GroupedMoments
from napari_phenolens.dictionary.spectrum import (
    TOKENS_A_COMPONENT,
    Floor,
    alignment,
    components,
    diagnosis_table,
)

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["none", "center", "pca", "tvn"]
Product = Callable[[NDArray[np.float64]], NDArray[np.generic]]

MIN_GROUP = 32  # tokens below which a group's offset is not estimated
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
    floor : float or "oas"
        Share of the mean eigenvalue that is added to each, or the rule that chose it.
    floor_value : float
        That addition itself.
    n : int
        Control tokens.
    group_offset : float64 array (n_groups, d) or None
        What is taken off the tokens of each group (tile position) before whitening.
    group_counts : int64 array (n_groups,) or None
    warnings : tuple of str
        What to know about the fit.
    spectrum : float64 array (d,) or None
        Control variance along all components, falling; None for "none", "center" and files of before it was kept.
    aligned_to : int
        Control tokens of the plate that it is aligned to, see `align`; 0 where it is not.
    """

    kind: Kind
    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    scale: NDArray[np.float64]
    floor: Floor
    floor_value: float
    n: int
    group_offset: NDArray[np.float64] | None = None
    group_counts: NDArray[np.int64] | None = None
    warnings: tuple[str, ...] = field(default=())
    spectrum: NDArray[np.float64] | None = None
    aligned_to: int = 0

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
        floor: Floor = 1e-3,
        keep: int | None = None,
        tokens_a_component: int = TOKENS_A_COMPONENT,
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
            "tvn": standardised, then as "pca" (the first three steps of typical variation normalisation; `align` is
            the fourth, a plate at a time).
        floor : float or "oas"
            0 or more; "oas" chooses it from the number of tokens (oracle approximating shrinkage, Chen et al. 2010).
        keep : int, optional
            At most so many components, in place of one for each 5 tokens.
        tokens_a_component : int
            Those 5.
        n_groups : int, optional
            Number of groups; else one more than the largest seen.

        Raises
        ------
        DictionaryError
            No tokens, chunks of different widths, numbers that are not finite, an unknown kind, no variance at all.
        """
        if kind not in get_args(Kind):
            raise DictionaryError(f"whitening {kind!r} is unknown; choose one of {', '.join(get_args(Kind))}")
        if floor != "oas" and not (isinstance(floor, (int, float)) and np.isfinite(floor) and floor >= 0):
            raise DictionaryError(f"the eigenvalue floor is {floor!r}; give a number of 0 or more, or 'oas'")
        if tokens_a_component < 1:
            raise DictionaryError(f"tokens_a_component is {tokens_a_component!r}; give a whole number of 1 or more")
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
        spectrum: NDArray[np.float64] | None = None
        if kind == "none":
            mean = np.zeros(d)
        elif kind != "center":
            if kind == "tvn":
                scale = np.sqrt(np.diag(covariance))
                inverse = np.divide(1.0, scale, out=np.zeros(d), where=scale > 0)
                covariance = covariance * inverse[:, None] * inverse[None, :]
            limit = keep if keep is not None else max(1, moments.n // tokens_a_component)
            spectrum, vectors, floor_value, notes = components(covariance, moments.n, floor, limit)
            values = spectrum[: vectors.shape[1]]
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
            floor=floor if floor == "oas" else float(floor),
            floor_value=float(floor_value),
            n=moments.n,
            group_offset=None if offset is None else _single(offset),
            group_counts=None if offset is None else moments.counts(),
            warnings=tuple(notes),
            spectrum=None if spectrum is None else _single(spectrum),
        )

    def align(self, chunks: Iterable[Any], *, ridge: float = 0.5) -> Whitening:
        """Align to one plate: that plate's controls to zero mean, and to the common spread (CORAL).

        The last step of typical variation normalisation (Kenyon-Dean et al. 2024, arXiv 2411.02572): whitened tokens of
        a plate are centred on the plate's own controls and multiplied by (C + ridge I)^(-1/2), C being those controls'
        covariance after whitening; here also by sqrt(1 + ridge), so that a plate like the others is left as it is.

        Parameters
        ----------
        chunks : iterable of arrays (n_i, d), or of tuples (x, groups)
            Control tokens of the plate, as for `fit`.
        ridge : float
            Above 0; the larger, the less is aligned.

        Returns
        -------
        Whitening
            For tokens of this plate alone, with the same components and group offsets.

        Raises
        ------
        DictionaryError
            Fewer than two tokens, other widths, a ridge of 0 or less.
        """
        if not (np.isfinite(ridge) and ridge > 0):
            raise DictionaryError(f"the ridge of the alignment is {ridge!r}; give a number above 0")
        moments = GroupedMoments()
        for chunk in chunks:
            x, groups = chunk if isinstance(chunk, tuple) else (chunk, None)
            moments.add(self(x) if groups is None else self(x, groups))
        if moments.n < 2:
            raise DictionaryError(f"{moments.n} control tokens of the plate came; alignment needs two at least")
        mean, covariance = moments.corrected(None)
        turn, notes = alignment(covariance, moments.n, ridge)
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return replace(
            self,
            mean=self.inverse(mean[None])[0].astype(np.float64),
            matrix=_single(self.matrix @ turn),
            warnings=(*self.warnings, *notes),
            aligned_to=moments.n,
        )

    def diagnosis(self) -> pd.DataFrame:
        """The spectrum of the controls, and what is kept of it.

        Returns
        -------
        DataFrame
            A row a component: ``eigenvalue``, its ``share`` of the variance and their ``cumulative`` sum, ``floored``
            (with the floor), ``kept``, ``whitened`` (the controls' variance along it after whitening: 1 without floor;
            NaN where it is dropped) and ``noise_gain`` (by how much whitening magnifies this direction next to the
            first one). `attrs` has kind, n, d, p, floor, floor_value, tokens_a_component (as it came out) and warnings.

        Raises
        ------
        DictionaryError
            For kinds "none" and "center", which look at no spectrum.
        """
        return diagnosis_table(self)

    @cached_property
    def _products(self) -> dict[str, Product]:
        """The product with the matrix by device, each brought there when it is first asked for."""
        return {"cpu": partial(_product, self.matrix)}

    def __call__(self, x: ArrayLike, groups: ArrayLike | None = None, *, device: str = "cpu") -> NDArray[np.float32]:
        """Whiten tokens.

        Parameters
        ----------
        x : array (n, d)
        groups : int array (n,), optional
            Where given, each token's group offset is taken off first (-1: none). Without it the caller has done so.
        device : str
            Where the product is computed: ``cpu``, or one of torch's: ``cuda``, ``cuda:1`` (``mps`` has no float64:
            the CPU then).

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
        if device not in self._products:
            from napari_phenolens.dictionary.torch_products import double_product

            self._products[device] = double_product(self.matrix, device)
        product = self._products[device]
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
                out[lo:hi] = block if self.kind in ("none", "center") else product(block)

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
        if self.aligned_to:
            back = np.linalg.pinv(self.matrix).T
        else:
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
        if self.spectrum is not None:
            arrays["spectrum"] = self.spectrum.astype(np.float32)
        return arrays

    def meta(self) -> dict[str, Any]:
        """What is not an array, ready for JSON."""
        meta = {
            "kind": self.kind,
            "n": self.n,
            "floor": self.floor,
            "floor_value": self.floor_value,
            "warnings": list(self.warnings),
        }
        return meta | ({"aligned_to": self.aligned_to} if self.aligned_to else {})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any]) -> Whitening:
        """Bring back what `to_arrays` and `meta` gave."""
        try:
            parts = {name: np.array(arrays[name], np.float64) for name in ("mean", "matrix", "eigenvalues", "scale")}
            offset = np.array(arrays["group_offset"], np.float64) if "group_offset" in arrays else None
            counts = np.array(arrays["group_counts"], np.int64) if "group_counts" in arrays else None
            return cls(
                kind=meta["kind"],
                floor="oas" if meta["floor"] == "oas" else float(meta["floor"]),
                floor_value=float(meta["floor_value"]),
                n=int(meta["n"]),
                group_offset=offset,
                group_counts=counts,
                warnings=tuple(meta.get("warnings", ())),
                spectrum=np.array(arrays["spectrum"], np.float64) if "spectrum" in arrays else None,
                aligned_to=int(meta.get("aligned_to", 0)),
                **parts,
            )
        except KeyError as missing:
            raise DictionaryError(
                f"a saved whitening lacks {missing}; it was not written by Whitening.to_arrays"
            ) from None


def _product(matrix: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows @ matrix


def _single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to single precision, in which all but the mean is saved: a saved whitening gives the very same numbers."""
    return values.astype(np.float32).astype(np.float64)
