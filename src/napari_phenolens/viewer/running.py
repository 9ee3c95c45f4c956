"""Running the model over the plate: settings, estimate, run, resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.progress import duration
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.settings import preferences

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench


# what the dock calls them; the first of each is the default
METHODS = {
    "icfl": "ICFL (default)",
    "nested": "Nested ICFL: coarse to fine",
    "topk": "TopK autoencoder",
    "batchtopk": "BatchTopK autoencoder",
    "mpsae": "Matching-pursuit autoencoder",
}
WHITENINGS = {
    "pca": "By the controls (default)",
    "tvn": "TVN: standardised first",
    "align": "TVN, plate by plate",
    "center": "Only their mean taken off",
    "none": "None",
}


@dataclass(frozen=True)
class RunSettings:
    """What the user chose in the run section.

    Attributes
    ----------
    out : str
        The folder of the run.
    encoder : str
    atoms : int
        Number of features.
    rounds, per_round : int
        Sparsity: a patch is described by at most ``rounds * per_round`` features.
    device : str
    lens : str
        A lens file to apply; empty: a lens is fitted on this plate's controls.
    channels : str
        ``DNA, GFP`` takes these channels alone, ``DNA=Channel2, GFP=Channel1`` names the plate's channels as the lens
        knows them; empty: all, by their own names.
    unit : str
        What the dictionary is learnt on: patch, cell or crop.
    block : int or None
        Which block of the encoder, 1-based; None: its own.
    weights : str
        A file of the encoder's weights that the user has; empty: those of this machine.
    method, whitening : str
        See `fit_lens`.
    start : str
        A lens file to start the dictionary from; empty: random atoms.
    fit_on : str
        The wells to fit on, a query or names; empty: all.
    """

    out: str
    encoder: str = "camae-micro"
    atoms: int = 1024
    rounds: int = 10
    per_round: int = 2
    device: str = "auto"
    lens: str = ""
    channels: str = ""
    unit: str = "patch"
    block: int | None = None
    weights: str = ""
    method: str = "icfl"
    whitening: str = "pca"
    start: str = ""
    fit_on: str = ""


def default_out(plate_name: str) -> Path:
    """Give the folder where a new run of a plate goes unless the user says otherwise."""
    folder = preferences().output_folder
    base = Path(folder) if folder else Path.home() / "phenolens"
    return base / (plate_name or "plate")


def size(value: float) -> str:
    """Say a size as people do."""
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{max(1, round(value / 1e6))} MB"


class Running:
    """Estimates and runs, as heavy jobs."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.settings: RunSettings | None = None

    def _controls(self) -> list[str]:
        s = self.bench.session
        if s.plate is None:
            raise PhenoLensError("open a plate first (step 1)")
        controls = s.wells_of(roles.CONTROL)
        if not controls:
            raise PhenoLensError(
                "say which wells are controls first (step 3): the model learns from them what is normal"
            )
        return controls

    def estimate(self, settings: RunSettings, done: Any) -> Job:
        """Estimate time and space in a thread; ``done(text)`` gets the words."""
        self._controls()
        plate = self.bench.session.plate

        def work(job: Job) -> str:
            return estimate_text(plate, settings, job.cancelled)

        return self.bench.jobs.start("estimate", work, done, title="Estimating", heavy=True)

    def start(self, settings: RunSettings) -> Job:
        """Run, or go on with a run that was stopped."""
        controls = self._controls()
        s = self.bench.session
        plate = s.plate
        if not settings.out.strip():
            raise PhenoLensError("choose a folder for the results first")
        self.settings = settings
        query: Any = s.control_query if s.control_query and not s.hand_roles else controls

        def work(job: Job) -> Any:
            return perform(plate, settings, query, job)

        def done(_run: Any) -> None:
            if s.plate is plate:  # a run of plate A never lands on plate B
                self.bench.opening.run(settings.out, plate)
            else:
                s.status = f"The run of {plate.name} is finished; its results are in {settings.out}."

        self.bench.following.begin(settings.out, plate)
        return self.bench.jobs.start("run", work, done, title=f"Running over {plate.name}", heavy=True)


def channel_choice(text: str) -> dict[str, str] | list[str] | None:
    """Read what stands in the dock's line for channels.

    Raises
    ------
    PhenoLensError
        Where it is neither a list of channels nor names for them.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return None
    pairs = [part.partition("=") for part in parts]
    if all(not sign for _, sign, _ in pairs):
        return parts
    named = {
        name.strip(): channel.strip() for name, sign, channel in pairs if sign and name.strip() and channel.strip()
    }
    if len(named) != len(parts):
        raise PhenoLensError(
            f"{text!r} names no channels; write DNA, GFP to take these alone, "
            "or DNA=Channel2, GFP=Channel1 to name them"
        )
    return named


def options(settings: RunSettings, controls: Any) -> dict[str, Any]:
    """Turn the settings into what the engine takes."""
    chosen: dict[str, Any] = {"controls": controls, "device": settings.device}
    channels = channel_choice(settings.channels)
    if channels is not None:
        chosen["channels"] = channels
    if preferences().token_folder:
        chosen["tokens"] = preferences().token_folder
    if settings.lens:
        from napari_phenolens.lens import load_lens

        lens = load_lens(settings.lens)
        if settings.weights and lens.encoder == settings.encoder:
            chosen["weights"] = settings.weights
        return {**chosen, "lens": lens}
    if settings.weights:
        chosen["weights"] = settings.weights
    if settings.block is not None:
        chosen["block"] = settings.block
    # what is not chosen is not said: runs that were begun before there was a choice go on
    for name in ("method", "whitening", "start", "fit_on"):
        value = getattr(settings, name)
        if value != getattr(RunSettings, name):
            chosen[name] = Path(value) if name == "start" else value
    return {
        **chosen,
        "encoder": settings.encoder,
        "atoms": settings.atoms,
        "sparsity": (settings.rounds, settings.per_round),
        "unit": settings.unit,
    }


def perform(plate: Any, settings: RunSettings, controls: Any, job: Job) -> Any:
    """Fit a lens where none is given and apply it; runs in a thread."""
    from napari_phenolens.run.gently import gently

    with gently():
        from napari_phenolens.run import run_plate

        return run_plate(plate, settings.out, progress=job.report, cancel=job.cancelled, **options(settings, controls))


def estimate_text(plate: Any, settings: RunSettings, cancel: Callable[[], bool] | None = None) -> str:
    """Say what a run will cost; runs in a thread."""
    from napari_phenolens.run.gently import gently

    chosen: dict[str, Any] = {
        "encoder": settings.encoder,
        "block": settings.block,
        "atoms": settings.atoms,
        "sparsity": (settings.rounds, settings.per_round),
        "device": settings.device,
        "channels": channel_choice(settings.channels),
    }
    if settings.weights and not settings.lens:
        chosen["weights"] = settings.weights
    if settings.lens:
        from napari_phenolens.lens import load_lens

        chosen["lens"] = load_lens(settings.lens)
    with gently():
        from napari_phenolens.run import estimate

        guess = estimate(plate, cancel=cancel, **chosen)
    where = "" if settings.lens else " Learning the features comes on top."
    return f"{guess.tiles:,} tiles, about {duration(guess.seconds)}; {size(guess.bytes)} on disk.{where}"


def encoder_choices() -> list[tuple[str, str, str]]:
    """List the encoders for the dock: ``(name, line, words)``; facts alone are read, no weights and no torch."""
    from napari_phenolens.encoders import list_encoders

    found = []
    for entry in list_encoders().to_dict("records"):
        here = "on this machine" if entry["available"] else "not on this machine"
        words = [f"{column}: {entry[column]}" for column in ("channels", "patch", "dim", "blocks", "weights")]
        line = f"{entry['name']}  ·  {entry['licence']}  ·  {here}"
        found.append((entry["name"], line, "\n".join([entry["description"], line, ", ".join(words)])))
    return found
