"""The whole job on one plate: fit a lens (or take one), apply it, resume either. Command line and dock call this."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.lens import Lens, load_lens
from napari_phenolens.progress import CancelCallback, ProgressCallback
from napari_phenolens.run.apply import apply_lens
from napari_phenolens.run.devices import Device
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.fit import fit_lens
from napari_phenolens.run.json_file import write_json
from napari_phenolens.run.reader import Run, open_run

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate


def run_plate(
    plate: Plate,
    out: str | Path,
    *,
    controls: str | Sequence[str] | None = None,
    lens: str | Path | Lens | None = None,
    channels: Mapping[str, str] | Sequence[str] | None = None,
    tokens: str | Path | None = None,
    device: Device = "auto",
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
    **settings: Any,
) -> Run:
    """Fit a lens on a plate's controls and apply it, or apply a lens that is there.

    A second call with the same arguments does nothing but open the run (`Run.already_complete`); a call that was
    broken off goes on: tokens are stored, the dictionary's training has its checkpoint in ``out/fit``, finished wells
    are kept.

    Parameters
    ----------
    plate : Plate
        The plate.
    out : path
        The run's folder.
    controls : str or sequence of str, optional
        Control wells; needed to fit a lens. With a `lens`: re-centre on these wells of this plate.
    lens : path or Lens, optional
        A lens to apply; None fits one.
    channels : sequence or mapping, optional
        See `fit_lens` and `apply_lens`.
    tokens : path, optional
        Folder of token stores.
    device, batch, precision, compiled
        See `fit_lens`; a run goes on with others of them.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.
    **settings
        Further arguments of `fit_lens`: encoder, block, unit, atoms, sparsity, method, whitening, seed, fit_on ...

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    RunError
        Where there are neither controls nor a lens, or the folder holds a run with other settings.
    Cancelled
        Where the user asked to stop.
    """
    folder = Path(out)
    settings = {k: v for k, v in settings.items() if v is not None}
    engine: dict[str, Any] = {"device": device, "batch": batch, "precision": precision, "compiled": compiled}
    if lens is not None:
        weights = settings.pop("weights", None)  # where the file of the lens's encoder lies is no setting of the lens
        if settings:
            raise RunError(
                f"a lens brings its own {', '.join(settings)}; leave them out, or fit a new lens without --lens"
            )
        given = lens if isinstance(lens, Lens) else load_lens(lens)
        return apply_lens(
            given, plate, folder, controls=controls, channels=channels, progress=progress, cancel=cancel,
            tokens=tokens, weights=weights, **engine,
        )  # fmt: skip
    if controls is None:
        raise RunError(
            "fitting a lens needs control wells: --controls \"control_type == 'negcon'\" (a query over the plate map) "
            "or well names; or apply a saved lens with --lens FILE"
        )
    wells = plate.select(controls)
    asked = {
        "plate": str(plate.path.resolve()),
        "options": dict(plate.options),
        "controls": wells,
        "channels": dict(channels) if isinstance(channels, Mapping) else list(channels) if channels else None,
        "settings": {k: _plain(v) for k, v in settings.items()},
    }
    _check_request(folder, asked)
    lens_file = folder / "lens.safetensors"
    # The lens names channels anew where they were mapped; applying maps them back.
    mapping = dict(channels) if isinstance(channels, Mapping) else None
    if (folder / "run.json").exists() and lens_file.exists():
        fitted = load_lens(lens_file)
        known = open_run(folder)
        if known.complete and known.plan.lens == fitted.fingerprint:
            known.already_complete = True
            return known
    elif (folder / "fit" / "lens.safetensors").exists():
        fitted = load_lens(folder / "fit" / "lens.safetensors")
    else:
        fitted = fit_lens(
            plate, wells, channels=channels, tokens=tokens, progress=progress, cancel=cancel,
            checkpoint=folder / "fit" / "dictionary.safetensors", **engine, **settings,
        )  # fmt: skip
        fitted.save(folder / "fit" / "lens.safetensors")
    return apply_lens(
        fitted, plate, folder, channels=mapping, progress=progress, cancel=cancel, tokens=tokens,
        weights=settings.get("weights"), **engine,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, Lens):
        return value.fingerprint
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _check_request(folder: Path, asked: dict[str, Any]) -> None:
    """Keep what was asked for beside the run, and refuse to mix two runs in one folder."""
    path = folder / "request.json"
    asked = json.loads(json.dumps(asked))
    if path.exists():
        had = json.loads(path.read_text(encoding="utf-8"))
        other = [f"{k} {had.get(k)} (asked: {v})" for k, v in asked.items() if had.get(k) != v]
        if other:
            text = "; ".join(o if len(o) < 300 else o[:300] + "..." for o in other)
            raise RunError(
                f"{folder} holds a run with other settings: {text}. Choose another folder, or delete this one"
            )
    elif (folder / "run.json").exists():
        raise RunError(f"{folder} holds a run of a saved lens; go on with --lens, or choose another folder")
    else:
        write_json(path, asked)
