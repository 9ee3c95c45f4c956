"""Which patches show cells: the rule, its numbers from the control wells, and its use on any field."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.background import background_level
from napari_phenolens.cells.channels import find_nuclear_channel
from napari_phenolens.cells.errors import CellsError
from napari_phenolens.cells.grid import patch_share
from napari_phenolens.progress import CancelCallback, check_cancelled

Kind = Literal["nuclei", "background", "none"]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]

# nuclear diameters round a nucleus that count as its cell: about the reach of the cytoplasm of a spread cell
DISTANCE_IN_DIAMETERS = 0.85
# spreads above the background where foreground starts; low, so that dim cytoplasm stays
SPREADS = 4.0


@dataclass(frozen=True)
class Foreground:
    """A rule that parts cells from background without being the phenotype (design section 4.6).

    A threshold on the stain that changes would make the share of foreground follow the dose; hence a fixed distance
    from segmented nuclei, or a threshold close above the control wells' background, both fixed when fitted.

    Attributes
    ----------
    kind : {"nuclei", "background", "none"}
        ``nuclei``: within `distance` of a nucleus. ``background``: any channel above its threshold. ``none``:
        everything.
    channel : str or None
        The nuclear channel (``nuclei``).
    distance : float or None
        Pixels (``nuclei``).
    thresholds : dict of str to float
        Per channel, in the pixel values that the rule was fitted on (``background``).
    smooth : float
        Sigma in pixels of the smoothing before thresholds (``background``).
    diameter : float or None
        Median nuclear diameter in pixels of the fields it was fitted on.
    pixel_size : float or None
        Micrometres per pixel of these fields.
    """

    kind: Kind = "none"
    channel: str | None = None
    distance: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    smooth: float = 2.0
    diameter: float | None = None
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        """Check that the rule has what its kind needs."""
        if self.kind not in get_args(Kind):
            raise CellsError(f"foreground kind {self.kind!r} is unknown; choose one of {', '.join(get_args(Kind))}")
        if self.kind == "nuclei" and (self.channel is None or self.distance is None or not self.distance >= 0):
            raise CellsError("foreground 'nuclei' needs the nuclear channel and a distance in pixels of 0 or more")
        if self.kind == "background" and not self.thresholds:
            raise CellsError("foreground 'background' needs a threshold for at least one channel")

    @classmethod
    def fit(
        cls,
        fields: Iterable[NDArray[Any]],
        channels: Sequence[str],
        *,
        nuclear: str | None = None,
        kind: Literal["auto", "nuclei", "background", "none"] = "auto",
        distance: float | None = None,
        pixel_size: float | None = None,
        smooth: float = 2.0,
        cancel: CancelCallback | None = None,
    ) -> Foreground:
        """Fix the rule's numbers from fields of control wells.

        Parameters
        ----------
        fields : iterable of ndarray (C, Y, X)
            Fields of control wells, the channels in the order of `channels`; a dozen suffice.
        channels : sequence of str
            Channel names.
        nuclear : str, optional
            The nuclear channel; found by its name where not given.
        kind : {"auto", "nuclei", "background", "none"}
            ``auto`` takes ``nuclei`` where a nuclear channel is known and shows nuclei, else ``background``.
        distance : float, optional
            Pixels from a nucleus that still count; default 0.85 of the median nuclear diameter.
        pixel_size : float, optional
            Micrometres per pixel of the fields.
        smooth : float
            Sigma in pixels of the smoothing before background thresholds.
        cancel : callable, optional
            Asked between fields.

        Returns
        -------
        Foreground

        Raises
        ------
        CellsError
            Where there is no field, the nuclear channel is not among the channels, or ``nuclei`` is asked for and none
            can be told or found.
        """
        if kind not in ("auto", *get_args(Kind)):
            raise CellsError(f"foreground kind {kind!r} is unknown; choose one of auto, {', '.join(get_args(Kind))}")
        if kind == "none":
            return cls(pixel_size=pixel_size)
        if nuclear is not None and nuclear not in channels:
            raise CellsError(
                f"nuclear channel {nuclear!r} is not among the channels {', '.join(channels)}; name one of them"
            )
        if nuclear is None and kind != "background":
            nuclear = find_nuclear_channel(channels)
        if kind == "nuclei" and nuclear is None:
            raise CellsError(
                f"none of the channels {', '.join(channels)} names a nuclear stain; "
                "name the nuclear channel or use the foreground 'background'"
            )
        kept = [_checked(image, channels) for image in fields]
        if not kept:
            raise CellsError(
                "the foreground is fitted on fields of control wells, and there is none; check the control query"
            )
        if nuclear is not None and kind != "background":
            diameter = _median_diameter([image[list(channels).index(nuclear)] for image in kept], pixel_size, cancel)
            if diameter is not None:
                reach = DISTANCE_IN_DIAMETERS * diameter if distance is None else float(distance)
                return cls("nuclei", nuclear, round(reach, 2), {}, smooth, round(diameter, 2), pixel_size)
            if kind == "nuclei":
                raise CellsError(
                    f"no nuclei were found in channel {nuclear!r} of the control fields; "
                    "check the channel, or use the foreground 'background'"
                )
        thresholds = {name: _threshold([image[c] for image in kept], smooth) for c, name in enumerate(channels)}
        return cls("background", None, None, thresholds, smooth, None, pixel_size)

    def nuclei(self, image: NDArray[Any], channels: Sequence[str]) -> Labels | None:
        """Segment a field's nuclei once, for `mask`, `patches` and the covariates; None without a nuclear channel."""
        from napari_phenolens.cells.nuclei import segment_nuclei

        if self.channel is None:
            return None
        return segment_nuclei(_checked(image, channels)[self._place(self.channel, channels)], self.pixel_size)

    def mask(
        self,
        image: NDArray[Any],
        channels: Sequence[str],
        nuclei: Labels | None = None,
        away: NDArray[np.floating[Any]] | None = None,
    ) -> Mask:
        """Part a field's pixels.

        Parameters
        ----------
        image : ndarray (C, Y, X)
            A field, pixel values as those it was fitted on.
        channels : sequence of str
            Names of its channels, in its order.
        nuclei : ndarray (Y, X) int, optional
            Labels of this field's nuclei where they are known already (kind ``nuclei``).
        away : ndarray (Y, X), optional
            Distance in px from the nearest of them, as `nearest_label` gives it, where it is known already.

        Returns
        -------
        ndarray (Y, X) bool
            True where there are cells.

        Raises
        ------
        CellsError
            Where a channel that the rule needs is missing or the shapes do not fit.
        """
        from scipy import ndimage as ndi

        pixels = _checked(image, channels)
        shape = pixels.shape[1:]
        if self.kind == "none":
            return np.ones(shape, np.bool_)
        if self.kind == "nuclei":
            labels = self.nuclei(pixels, channels) if nuclei is None else np.asarray(nuclei)
            if labels is None or labels.shape != shape:
                raise CellsError(
                    f"nuclei of shape {None if labels is None else labels.shape} do not fit a field of {shape}"
                )
            if not labels.any():
                return np.zeros(shape, np.bool_)
            if away is None:
                away = ndi.distance_transform_edt(labels == 0)
            near: Mask = away <= float(self.distance or 0.0)
            return near
        above = np.zeros(shape, np.bool_)
        for name, threshold in self.thresholds.items():
            channel = pixels[self._place(name, channels)].astype(np.float32)
            above |= ndi.gaussian_filter(channel, self.smooth, mode="reflect") > threshold
        return above

    def patches(
        self,
        image: NDArray[Any],
        channels: Sequence[str],
        patch: int,
        nuclei: Labels | None = None,
        away: NDArray[np.floating[Any]] | None = None,
    ) -> Mask:
        """Part a field's patches: foreground where at least half of the patch's pixels inside the field are.

        Parameters
        ----------
        image, channels, nuclei, away
            As in `mask`.
        patch : int
            Edge of a patch in pixels.

        Returns
        -------
        ndarray (h, w) bool
        """
        kept: Mask = patch_share(self.mask(image, channels, nuclei, away), patch) >= 0.5
        return kept

    def to_dict(self) -> dict[str, Any]:
        """Give the rule as plain JSON values."""
        return {
            "kind": self.kind,
            "channel": self.channel,
            "distance": self.distance,
            "thresholds": dict(self.thresholds),
            "smooth": self.smooth,
            "diameter": self.diameter,
            "pixel_size": self.pixel_size,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Foreground:
        """Take the rule from what `to_dict` gave; unknown keys raise CellsError."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise CellsError(
                f"a foreground rule has no {', '.join(unknown)}; "
                "it was written by a newer version: update napari-phenolens"
            )
        return cls(**dict(values))

    def _place(self, name: str, channels: Sequence[str]) -> int:
        if name not in channels:
            raise CellsError(
                f"the foreground rule needs channel {name!r}, the field has {', '.join(channels)}; map the channels"
            )
        return list(channels).index(name)


def _checked(image: NDArray[Any], channels: Sequence[str]) -> NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[0] != len(channels):
        raise CellsError(
            f"a field of shape {pixels.shape} does not fit the {len(channels)} channels {', '.join(channels)}; "
            "pass (C, Y, X)"
        )
    return pixels


def _median_diameter(
    images: Sequence[NDArray[Any]], pixel_size: float | None, cancel: CancelCallback | None
) -> float | None:
    """Median over fields of their median nuclear diameter, px; None where no field shows nuclei."""
    from napari_phenolens.cells.nuclei import nuclear_diameter, segment_nuclei

    each = []
    for image in images:
        check_cancelled(cancel)
        each.append(nuclear_diameter(segment_nuclei(image, pixel_size)))
    found = [d for d in each if math.isfinite(d)]
    return float(np.median(found)) if found else None


def _threshold(images: Sequence[NDArray[Any]], smooth: float) -> float:
    """Background level of the fields that show most of it, and some spreads."""
    from scipy import ndimage as ndi

    each = [background_level(ndi.gaussian_filter(image.astype(np.float32), smooth, mode="reflect")) for image in images]
    # in a confluent field the mode is cytoplasm: the lower quarter of the fields tells the background
    level = float(np.quantile([value for value, _ in each], 0.25))
    spread = float(np.median([value for _, value in each]))
    return level + SPREADS * spread
