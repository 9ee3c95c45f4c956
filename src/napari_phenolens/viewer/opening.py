"""Opening plates, plate maps and finished runs, by a dialog, by drag and drop or as the sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, images, roles
from napari_phenolens.viewer.reopening import absolute
from napari_phenolens.viewer.session import SLOTS, SlotState
from napari_phenolens.viewer.session_file import is_session

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

RUN_FILE = "run.json"
# what the user has chosen on a plate and keeps when results of it are opened
CHOSEN = (
    *("control_query", "perturbed_query", "positive_query", "excluded_query"),
    *("hand_roles", "well", "field_name", "slots"),
)


def is_run(path: str | Path) -> bool:
    """Whether a folder is a run of ours."""
    return (Path(path) / RUN_FILE).is_file()


def find_platemap(folder: str | Path) -> Path | None:
    """Find the plate map that lies in a plate's folder: the only CSV, or the only one called so; else None."""
    folder = Path(folder)
    if not folder.is_dir():
        return None
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".csv", ".tsv"})
    named = [
        path for path in tables if "platemap" in path.stem.lower().replace("_", "").replace("-", "").replace(" ", "")
    ]
    pick = named if named else tables
    return pick[0] if len(pick) == 1 else None


def _place(source: Any) -> str:
    """Say where a plate lies, or the one that a run was made from."""
    return absolute(getattr(source, "plate_path", None) or source.path)


class Opening:
    """Opens things and puts them into the session."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.platemap: Path | None = None
        self._adopted: set[str] = set()

    def anything(self, path: str | Path) -> None:
        """Open a folder: a finished run where it is one, a CSV as the plate map, a saved session, else a plate."""
        path = Path(path)
        if path.suffix.lower() in {".csv", ".tsv"} and path.is_file():
            self.map(path)
        elif is_session(path):
            self.bench.saving.open(path)
        elif is_run(path):
            self.run(path)
        else:
            self.plate(path)

    def plate(
        self, path: str | Path, platemap: str | Path | None = None, options: Mapping[str, Any] | None = None
    ) -> Job:
        """Open a plate in a thread, with the plate map that lies in its folder where none is given.

        The options are those of `napari_phenolens.open_plate`: pattern, z, t.
        """
        how = dict(options or {})

        def work(_job: Job) -> tuple[Any, Path | None, str]:
            from napari_phenolens.plate import open_plate

            table = Path(platemap) if platemap is not None else find_platemap(path)
            try:
                opened = open_plate(path, table, **how)
                _look_ahead(opened)
                return opened, table, ""
            except PhenoLensError as error:
                if platemap is not None or table is None:
                    raise
                return open_plate(path, **how), None, f"{table.name} lies in the folder but is no plate map: {error}"

        return self.bench.jobs.start("open", work, self._plate_opened, title=f"Opening {Path(path).name}")

    def map(self, csv: str | Path) -> Job | None:
        """Open the plate again with this plate map."""
        plate = self.bench.session.plate
        if plate is None:
            raise PhenoLensError("open a plate first, then give its plate map")
        return self.plate(plate.path, csv, getattr(plate, "options", None))

    def run(self, path: str | Path, plate: Any = None) -> Job:
        """Open a finished run, and the plate that it was made from where that is still in its place."""

        def work(_job: Job) -> tuple[Any, Any]:
            from napari_phenolens.run import open_run

            run = open_run(path)
            source = plate
            if source is None and run.plate_path and Path(run.plate_path).exists():
                with suppress(PhenoLensError):  # the pictures may be gone or damaged, the results are still good
                    source = run.plate()
            _look_ahead(source)
            return run, source

        return self.bench.jobs.start("open", work, self._run_opened, title=f"Opening the results in {Path(path).name}")

    def adopt(self, layers: Sequence[Any]) -> bool:
        """Take up a plate or run that the reader or the sample has put into the layer list.

        Returns
        -------
        bool
            Whether one of the layers named one that is not open yet.
        """
        for layer in layers:
            note = layer.metadata.get(images.KEY)
            wanted = note.pop("open", None) if isinstance(note, dict) else None
            if wanted:
                self.take(wanted, note.get("well"), note.get("field"))
                return True
        return False

    def take(self, wanted: Mapping[str, Any], well: str | None = None, field: str | None = None) -> Job:
        """Open what a note names: ``plate``, ``platemap``, ``run``, ``queries``; show this well of it."""
        self._forget()
        s = self.bench.session
        s.plate = None
        s.well, s.field_name = well, field
        queries = wanted.get("queries", {})
        s.control_query = queries.get("control", "")
        s.perturbed_query = queries.get("perturbed", "")
        s.positive_query = queries.get("positive", "")
        if wanted.get("run"):
            return self.run(wanted["run"])
        return self.plate(wanted["plate"], wanted.get("platemap"))

    def _plate_opened(self, opened: tuple[Any, Path | None, str]) -> None:
        plate, self.platemap, note = opened
        s = self.bench.session
        before = s.plate
        same = before is not None and Path(before.path) == Path(plate.path)
        if before is not None and not same:
            self._forget()
        s.plate = plate
        self.bench.remembering.plate(plate, self.platemap)
        self._after(plate)
        wells = len(plate.wells)
        s.status = note or (
            f"{plate.name}: {wells} wells. "
            + (
                "The plate map names the controls: check them (step 3), then run the model (step 4)."
                if s.roles
                else "Say which wells are controls (step 3)."
            )
        )

    def _run_opened(self, opened: tuple[Any, Any]) -> None:
        run, plate = opened
        s = self.bench.session
        if plate is None and s.plate is not None and Path(s.plate.path) == Path(run.plate_path or ""):
            plate = s.plate
        if plate is not s.plate:
            same = s.source is None or _place(s.source) == _place(plate if plate is not None else run)
            chosen = {name: getattr(s, name) for name in CHOSEN} if same else {}
            self._forget()
            for name, value in chosen.items():
                setattr(s, name, value)
            self.platemap = None  # the run keeps its own
            s.plate = plate
        s.run = run
        s.comparison = None
        self._after(run)
        missing = "" if plate is not None else " Its pictures are not at their place any more; heatmaps still show."
        part = " It is a provisional first pass." if getattr(run, "provisional", False) else ""
        s.status = f"{run.plate_name}: results of {len(run.wells)} wells, {run.n_features} features.{part}{missing}"
        self.bench.comparing.start_if_ready()

    def put(self, plate: Any, platemap: Path | None, run: Any) -> None:
        """Take up a plate and a run that were opened elsewhere, with nothing of them chosen as yet."""
        self._forget()
        s = self.bench.session
        self.platemap = platemap
        s.plate = plate
        s.run = run

    def _after(self, source: Any) -> None:
        """Fill in what the plate map suggests, and show a well."""
        s = self.bench.session
        if not s.control_query and not s.hand_roles:
            s.control_query, s.positive_query = roles.guess(source.metadata, list(source.wells))
            known = list(getattr(source, "controls", ()) or ())
            if not s.control_query and known:
                s.hand_roles = dict.fromkeys(known, roles.CONTROL)
        self.bench.update_roles()
        well = s.well if s.well in s.wells else None
        if well is None:
            well = next(iter(s.wells_of(roles.CONTROL)), None) or next(iter(s.wells), None)
        if well is not None:
            self.bench.showing.well(well, s.field_name if well == s.well else None)

    def _forget(self) -> None:
        """Leave the former plate behind: nothing of it may be shown with the new one."""
        self.bench.jobs.cancel("picture")
        self.bench.side.end()
        self.bench.overview.forget()
        self.bench.showing.forget()
        self.bench.comparing.forget()
        s = self.bench.session
        s.run, s.comparison, s.feature, s.covariate = None, None, None, None
        s.selected, s.well, s.field_name, s.place, s.explanation = (), None, None, None, None
        s.control_query = s.perturbed_query = s.positive_query = s.excluded_query = ""
        s.preview, s.view = (), "field"
        s.undo.clear()
        s.hand_roles, s.colour_by, s.side_by_side = {}, "role", False
        s.slots = tuple(SlotState() for _ in range(SLOTS))


def _look_ahead(plate: Any) -> None:
    """Read in the thread what the dock asks of a plate at once: its pixel size stands in the header of a file."""
    if plate is not None:
        _ = plate.pixel_size


def watch(bench: Workbench) -> Any:
    """Adopt what the reader or the sample adds from now on, and what they have added already.

    Returns
    -------
    callable
        Ends the watch.
    """
    viewer = bench.viewer

    def inserted(event: Any) -> None:
        bench.opening.adopt([event.value])

    viewer.layers.events.inserted.connect(inserted)
    bench.opening.adopt(list(viewer.layers))

    def end() -> None:
        with suppress(ReferenceError):  # the viewer may have gone before its dock
            viewer.layers.events.inserted.disconnect(inserted)

    return end


def open_in(viewer: Any, path: str | Path) -> None:
    """Open a path in a viewer's workbench (for commands)."""
    compat.open_dock(viewer)
    from napari_phenolens.viewer.workbench import workbench_for

    workbench_for(viewer).opening.anything(path)
