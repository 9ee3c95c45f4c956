"""Cells of a field: nuclei, grown outwards until they meet, leave the stain or have gone far enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.cells.channels import find_nuclear_channel
from napari_phenolens.cells.errors import CellsError
from napari_phenolens.cells.foreground import Foreground
from napari_phenolens.cells.measure import expand_cells
from napari_phenolens.progress import CancelCallback

Labels = NDArray[np.int32]

# tried on five wells of a demo plate of another seed: overlap with the drawn cells 0.67, by distance alone 0.64
STIFFNESS = 4.0
# Share of the reach round a nucleus where edges do not count. A stain that has moved into the nucleus ends at its rim:
# in two wells of BBBC013 a fifth of the cells were then their nucleus alone, and their cytoplasm the neighbour's.
_RIM = 0.2
SMOOTH = 1.0


@dataclass(frozen=True)
class CellSegmentation:
    """How cells are found: nuclei by `segment_nuclei`, then seeded growth.

    Attributes
    ----------
    nuclear : str
        The channel of the nuclei.
    reach : float
        Pixels from a nucleus that a cell may reach. Fixed for the whole plate: a reach that followed each field's
        nuclei would give a drug that swells nuclei larger cells.
    cytoplasm : tuple of str
        Channels whose edges part cells that touch; none: the nearer nucleus wins.
    stiffness : float
        What nearness counts against edges: 0 follows edges alone, 10 nearly distance alone.
    smooth : float
        Sigma in pixels of the smoothing before edges and thresholds.
    thresholds : mapping of str to float
        Per channel, in pixel values: cells end where none of these channels is above its own. None: cells are
        whatever lies within the reach. An outline by a stain ends where the stain does, and a treatment that moves the
        stain moves the outline.
    pixel_size : float or None
        Micrometres per pixel, for the nuclei.
    """

    nuclear: str
    reach: float
    cytoplasm: tuple[str, ...] = ()
    stiffness: float = STIFFNESS
    smooth: float = SMOOTH
    thresholds: Mapping[str, float] = field(default_factory=dict)
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        object.__setattr__(self, "cytoplasm", tuple(self.cytoplasm))
        object.__setattr__(self, "thresholds", dict(self.thresholds))
        if not self.reach >= 0:
            raise CellsError(f"cells cannot reach {self.reach} px from their nucleus; give 0 or more")
        if not (self.stiffness >= 0 and self.smooth >= 0):
            raise CellsError(f"stiffness {self.stiffness} and smooth {self.smooth} must be 0 or more")

    @classmethod
    def fit(
        cls,
        fields: Iterable[NDArray[Any]],
        channels: Sequence[str],
        *,
        nuclear: str | None = None,
        cytoplasm: Sequence[str] | None = None,
        reach: float | None = None,
        by_stain: bool = False,
        pixel_size: float | None = None,
        cancel: CancelCallback | None = None,
    ) -> CellSegmentation:
        """Fix the numbers from fields of control wells.

        Parameters
        ----------
        fields : iterable of ndarray (C, Y, X)
            Fields of control wells, the channels in the order of `channels`; a dozen suffice.
        channels : sequence of str
            Channel names.
        nuclear : str, optional
            The nuclear channel; found by its name where not given.
        cytoplasm : sequence of str, optional
            Channels whose edges part cells; default: all but the nuclear one.
        reach : float, optional
            Pixels; default 0.85 of the median nuclear diameter, as the foreground's.
        by_stain : bool
            End cells at the controls' background of the `cytoplasm` channels too.
        pixel_size : float, optional
            Micrometres per pixel of the fields.
        cancel : callable, optional
            Asked between fields.

        Returns
        -------
        CellSegmentation

        Raises
        ------
        CellsError
            Where no nuclear channel is known, or no field shows nuclei.
        """
        kept = list(fields)
        nuclear = find_nuclear_channel(channels) if nuclear is None else nuclear
        chosen = tuple(c for c in channels if c != nuclear) if cytoplasm is None else tuple(cytoplasm)
        if reach is None or nuclear is None:
            rule = Foreground.fit(
                kept, channels, nuclear=nuclear, kind="nuclei", distance=reach, pixel_size=pixel_size, cancel=cancel
            )
            nuclear, reach = str(rule.channel), float(rule.distance or 0.0)
        thresholds: dict[str, float] = {}
        if by_stain:
            if not chosen:
                raise CellsError("cells by their stain need a cytoplasm channel; name one, or let the reach end them")
            background = Foreground.fit(
                kept, channels, nuclear=nuclear, kind="background", smooth=SMOOTH, cancel=cancel
            )
            thresholds = {name: background.thresholds[name] for name in chosen}
        return cls(nuclear, reach, chosen, thresholds=thresholds, pixel_size=pixel_size)

    def nuclei(self, image: NDArray[Any], channels: Sequence[str]) -> Labels:
        """Segment the nuclei of a field ``(C, Y, X)``; their labels are those of the cells."""
        from napari_phenolens.cells.nuclei import segment_nuclei

        return segment_nuclei(self._plane(image, channels, self.nuclear), self.pixel_size)

    def cells(self, image: NDArray[Any], channels: Sequence[str], nuclei: Labels | None = None) -> Labels:
        """Segment the cells of a field.

        Parameters
        ----------
        image : ndarray (C, Y, X)
            The field.
        channels : sequence of str
            Its channels.
        nuclei : ndarray (Y, X) int, optional
            Its nuclei where they are known already.

        Returns
        -------
        ndarray (Y, X) int32
            A cell carries its nucleus's label.

        Raises
        ------
        CellsError
            Where a channel is missing or shapes do not fit.
        """
        from napari_phenolens.cells.distance import nearest_label

        nuclei = self.nuclei(image, channels) if nuclei is None else nuclei
        if not nuclei.any():
            return np.zeros(nuclei.shape, np.int32)
        near = nearest_label(nuclei)
        mask = near[0] <= self.reach
        if self.thresholds:
            stained = np.zeros(mask.shape, np.bool_)
            for name, least in self.thresholds.items():
                stained |= _smooth(self._plane(image, channels, name), self.smooth) > least
            mask &= stained | (nuclei > 0)
        if not self.cytoplasm:
            return np.where(mask, expand_cells(nuclei, self.reach, near), 0).astype(np.int32)
        return self._grown(image, channels, nuclei, near[0], mask)

    def _grown(
        self,
        image: NDArray[Any],
        channels: Sequence[str],
        nuclei: Labels,
        away: NDArray[np.float64],
        mask: NDArray[np.bool_],
    ) -> Labels:
        """Flood from the nuclei over distance and the edges of the cytoplasm, see `CellSegmentation`."""
        from skimage.filters import sobel
        from skimage.segmentation import watershed

        edges = np.zeros(mask.shape, np.float32)
        for name in self.cytoplasm:
            plane = _smooth(self._plane(image, channels, name), self.smooth)
            # on a logarithmic scale, above the field's own dark, dim cells have edges as bright ones do
            dark, bright = (float(v) for v in np.percentile(plane[::2, ::2], (0.5, 99.5)))
            floor = max(bright - dark, 1e-12) / 50
            edges += sobel(np.log(np.maximum(plane - dark, 0) + floor)).astype(np.float32)
        edges[away <= _RIM * self.reach] = 0.0
        scale = float(edges[mask].std())
        height = self.stiffness * away / max(self.reach, 1.0)
        if scale > 0:
            height = height + edges / scale
        return np.asarray(watershed(height, nuclei, mask=mask), np.int32)

    def _plane(self, image: NDArray[Any], channels: Sequence[str], name: str) -> NDArray[Any]:
        pixels = np.asarray(image)
        if name not in channels:
            raise CellsError(
                f"the cells need channel {name!r}, the field has {', '.join(channels)}; name the channels as they are"
            )
        if pixels.ndim != 3 or pixels.shape[0] != len(channels):
            raise CellsError(f"a field of shape {pixels.shape} does not fit the channels {', '.join(channels)}")
        plane: NDArray[Any] = pixels[list(channels).index(name)]
        return plane

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain JSON values."""
        return asdict(self) | {"cytoplasm": list(self.cytoplasm), "thresholds": dict(self.thresholds)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CellSegmentation:
        """Take the settings from what `to_dict` gave; unknown keys raise CellsError."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise CellsError(
                f"a cell segmentation has no {', '.join(unknown)}; a newer version wrote it: update napari-phenolens"
            )
        return cls(**dict(values))


def _smooth(plane: NDArray[Any], sigma: float) -> NDArray[np.float32]:
    from scipy import ndimage as ndi

    return np.asarray(ndi.gaussian_filter(plane.astype(np.float32), sigma, mode="reflect"), np.float32)
