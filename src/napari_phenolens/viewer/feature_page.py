"""All about the chosen feature: gallery, neighbours, histogram, family; read part by part in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.images import role_of
from napari_phenolens.viewer.sides import sides_of

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.analysis import ActivitySample, Crop
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

DOCK = "PhenoLens feature"
EXAMPLES, NEIGHBOURS = 12, 8
NEAR = 3.0  # screen pixels a field pixel, at which a place is looked at
NO_PICTURES = "The plate's pictures are not at hand; open its folder (step 1) to see examples."
ALL, CONTROLS, PERTURBED = "all wells", "control wells", "perturbed wells"


@dataclass(frozen=True, eq=False)
class Page:
    """What was read of a feature so far; None where a part is still being read.

    Attributes
    ----------
    feature : int
    wells : str
        Where the gallery's examples are from: one of `ALL`, `CONTROLS`, `PERTURBED`.
    gallery : tuple of Crop or None
    looks : mapping
        Channel to colour and limits, as the plate is shown at first.
    similar : DataFrame or None
        See `napari_phenolens.similar_features`.
    histogram : DataFrame or None
        See `napari_phenolens.analysis.feature_histogram`.
    family : DataFrame or None
        See `napari_phenolens.analysis.family`.
    missing : mapping
        Part to the reason why it cannot be shown.
    """

    feature: int
    wells: str = ALL
    gallery: tuple[Crop, ...] | None = None
    looks: Mapping[str, Any] = field(default_factory=dict)
    similar: pd.DataFrame | None = None
    histogram: pd.DataFrame | None = None
    family: pd.DataFrame | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


class FeaturePage:
    """Keeps the session's page that of the chosen feature while somebody looks at it."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._watchers = 0
        self._wells = ALL
        self._sample: tuple[Any, ActivitySample] | None = None
        self._looks: tuple[Any, tuple[str, ...], Mapping[str, Any]] | None = None
        self._goal: Crop | None = None
        events = bench.session.events
        events.feature.connect(self._follow)
        for signal in (events.run, events.comparison):
            signal.connect(self._anew)
        bench.jobs.ended.connect(self._arrived)

    # ---- who looks ----------------------------------------------------------------------------------------------
    def watch(self) -> None:
        """Begin to read: a dock shows the page."""
        self._watchers += 1
        self._follow()

    def unwatch(self) -> None:
        """Stop reading once nobody looks any more."""
        self._watchers = max(0, self._watchers - 1)
        if not self._watchers:
            self._stop()
            self.bench.session.page = None

    def choose_wells(self, wells: str) -> None:
        """Show examples of all wells, of the control wells or of the perturbed ones."""
        self._wells = wells
        page = self.bench.session.page
        if page is not None and page.wells != wells:
            self.bench.session.page = replace(page, wells=wells, gallery=None)
            self._read_gallery(page.feature)

    # ---- reading ------------------------------------------------------------------------------------------------
    def _anew(self, _value: object = None) -> None:
        """Read once more: another run, or other sides of the histogram."""
        if self.bench.session.run is None or (
            self._sample is not None and self._sample[0] is not self.bench.session.run
        ):
            self._sample = None
        self.bench.session.page = None
        self._follow()

    def _stop(self) -> None:
        for part in ("gallery", "similar", "histogram"):
            self.bench.jobs.cancel(f"page-{part}")

    def _follow(self, _value: object = None) -> None:
        s = self.bench.session
        if not self._watchers or s.run is None or s.feature is None:
            if self._watchers:
                s.page = None
            return
        if s.page is not None and s.page.feature == s.feature:
            return
        self._stop()
        s.page = Page(s.feature, self._wells)
        self._read_histogram(s.feature)
        self._read_gallery(s.feature)
        self._read_similar(s.feature)

    def _read_gallery(self, feature: int) -> None:
        s = self.bench.session
        run, plate, controls, side = s.run, s.plate, tuple(s.wells_of(roles.CONTROL)), self._wells
        if plate is None:
            self._fill(feature, gallery=(), missing={"gallery": NO_PICTURES})
            return
        wells = None if side == ALL else self._side(side)
        known = self._looks

        def work(job: Job) -> dict[str, Any]:
            from napari_phenolens.analysis import gallery
            from napari_phenolens.export import plate_looks

            looks = known[2] if known is not None and known[:2] == (plate, controls) else plate_looks(plate, controls)
            crops = (
                gallery(run, feature, EXAMPLES, wells=wells, plate=plate, cancel=job.cancelled) if wells != [] else []
            )
            return {"gallery": tuple(crops), "looks": looks}

        def done(parts: dict[str, Any]) -> None:
            self._looks = plate, controls, parts["looks"]
            why = "" if parts["gallery"] else f"F{feature} is active nowhere in {side}."
            self._fill(feature, **parts, missing={"gallery": why})

        self._start("gallery", feature, work, done, f"Cutting out examples of F{feature}")

    def _read_similar(self, feature: int) -> None:
        run = self.bench.session.run
        held = self._sample[1] if self._sample is not None and self._sample[0] is run else None

        def work(job: Job) -> tuple[ActivitySample, pd.DataFrame]:
            from napari_phenolens.analysis import activity_sample, similar_features

            sample = held if held is not None else activity_sample(run, cancel=job.cancelled)
            return sample, similar_features(run, feature, NEIGHBOURS, sample=sample)

        def done(found: tuple[ActivitySample, pd.DataFrame]) -> None:
            self._sample = run, found[0]
            self._fill(feature, similar=found[1])

        self._start("similar", feature, work, done, f"Looking for features like F{feature}")

    def _read_histogram(self, feature: int) -> None:
        s = self.bench.session
        run, controls, perturbed = s.run, self._side(CONTROLS), self._side(PERTURBED)

        def work(_job: Job) -> dict[str, Any]:
            from napari_phenolens.analysis import family, feature_histogram

            parts: dict[str, Any] = {"family": family(run, feature)}
            if controls and perturbed:
                parts["histogram"] = feature_histogram(run, feature, controls, perturbed)
            else:
                parts["missing"] = {"histogram": "Say which wells are controls and which are perturbed (step 3)."}
            return parts

        self._start(
            "histogram",
            feature,
            work,
            lambda parts: self._fill(feature, **parts),
            f"Reading the histogram of F{feature}",
        )

    def _side(self, side: str) -> list[str]:
        """Give the wells of a side."""
        return list(sides_of(self.bench.session)[side == PERTURBED])

    def _start(
        self, part: str, feature: int, work: Callable[[Job], Any], done: Callable[[Any], None], title: str
    ) -> None:
        """Read a part; where that cannot be done the page says why, and the other parts stay."""

        def tried(job: Job) -> Any:
            try:
                return work(job)
            except PhenoLensError as error:
                return error

        def shown(result: Any) -> None:
            if isinstance(result, PhenoLensError):
                empty = {"gallery": ()} if part == "gallery" else {}
                self._fill(feature, **empty, missing={part: str(result)})
            else:
                done(result)

        self.bench.jobs.start(f"page-{part}", tried, shown, title=title)

    def _fill(self, feature: int, *, missing: Mapping[str, str] | None = None, **parts: Any) -> None:
        page = self.bench.session.page
        if page is not None and page.feature == feature:
            self.bench.session.page = replace(page, missing={**page.missing, **(missing or {})}, **parts)

    # ---- looking ------------------------------------------------------------------------------------------------
    def looks(self) -> dict[str, Any]:
        """Give each channel's colour and limits as they are on the canvas; hidden channels are left out."""
        page = self.bench.session.page
        shown = dict(page.looks) if page is not None else {}
        for layer in self.bench.images.layers:
            channel = (role_of(layer) or ("", ""))[1]
            shown.pop(channel, None)
            if layer.visible:
                colour = tuple(float(c) for c in layer.colormap.map([1.0])[0][:3])
                shown[channel] = (colour, tuple(float(v) for v in layer.contrast_limits))
        return shown

    def step(self, by: int) -> None:
        """Choose the feature that follows (1) or precedes (-1) in the ranking; the first where none is chosen."""
        s = self.bench.session
        if s.comparison is None or not len(s.comparison.features):
            raise PhenoLensError("there is no ranking to walk through: press Compare first (step 5)")
        ranked = s.comparison.features["feature"].tolist()
        now = ranked.index(s.feature) + by if s.feature in ranked else 0
        self.bench.showing.feature(int(ranked[now % len(ranked)]))

    def go(self, crop: Crop) -> None:
        """Show the field of a crop, its middle in the middle, near enough to see it."""
        s = self.bench.session
        self._goal = crop
        self.bench.showing.well(crop.well, crop.field)
        s.status = f"{crop.well}, field {crop.field}: " + (
            f"an example of F{crop.feature} ({crop.value:.2f})."
            if crop.side == "with"
            else f"a place without F{crop.feature}."
        )

    def _arrived(self, job: Job) -> None:
        """Move the camera once the field is on the canvas."""
        goal, s = self._goal, self.bench.session
        if goal is None or job.kind != "picture":
            return
        if (s.well, s.field_name) != (goal.well, goal.field):
            self._goal = None  # the user went elsewhere meanwhile
        elif not job.cancelled():
            self._goal = None
            size = self.bench.showing._pixel_size() or 1.0
            compat.look_at(self.bench.viewer, (goal.at[0] * size, goal.at[1] * size), least_zoom=NEAR / size)
