"""Fit a lens: tokens of the control wells, whitening, a sample of all wells, the dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_phenolens.dictionary import carry, check_method, fit_dictionary, reconstruction
from napari_phenolens.dictionary.model import Method
from napari_phenolens.dictionary.whitening import Kind
from napari_phenolens.encoders import Encoder
from napari_phenolens.lens import Lens, load_lens
from napari_phenolens.progress import CancelCallback, ProgressCallback
from napari_phenolens.run.bench import Channels, Query, check_fits, nuclear_channel, resolve_channels
from napari_phenolens.run.devices import Device
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.field_tokens import pooling_for
from napari_phenolens.run.fit_tokens import Rules, align_to, fit_whitening, lay_out, sample_rows
from napari_phenolens.run.opening import engine_for

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

UNITS = ("patch", "crop", "cell")
METHODS: tuple[str, ...] = get_args(Method)
ALIGN = "align"  # "tvn", and every plate aligned to its own controls
WHITENINGS: tuple[str, ...] = (*get_args(Kind), ALIGN)
HELD_OUT = 8192  # rows kept apart to tell its quality
MARGIN = 2  # rim of a tile, in patches, that is not kept: there the position in the tile is strongest


def fit_lens(
    plates: Plate | Sequence[Plate],
    controls: Query,
    *,
    encoder: str = "camae-micro",
    block: int | None = None,
    channels: Channels = None,
    channel_pooling: str = "auto",
    unit: str = "patch",
    atoms: int = 1024,
    sparsity: tuple[int, int] = (10, 2),
    whitening: str = "pca",
    method: Method = "icfl",
    seed: int = 0,
    device: Device = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
    normalise: str = "plate",
    foreground: Literal["auto", "nuclei", "background", "none"] = "auto",
    nuclear: str | None = None,
    margin: int = MARGIN,
    steps: int | None = None,
    weights: str | Path | None = None,
    tokens: str | Path | None = None,
    checkpoint: str | Path | None = None,
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
    start: Lens | str | Path | None = None,
    fit_on: Query | None = None,
) -> Lens:
    """Fit a lens on one or several plates and their control wells.

    Parameters
    ----------
    plates : Plate or sequence of Plate
        With the same channels; each is normalised by its own controls.
    controls : str or sequence of str
        A pandas query over the plate map, or well names: the wells that define the origin and the whitening.
    encoder : str
        Name of the encoder, see `napari_phenolens.encoders`.
    block : int, optional
        Which block's tokens (1-based); default: the encoder's own.
    channels : sequence or mapping of str, optional
        Which channels and in which order; a mapping renames: ``{"DNA": "Channel2"}``. Default: all.
    channel_pooling : str
        ``concat``, ``mean`` or ``auto`` (concat up to four channels).
    unit : str
        What the dictionary is learnt on: ``patch`` (our extension, the default), ``crop`` (the paper) or ``cell``.
    atoms : int
        Size of the dictionary; of a nested one the finest, the coarser ones are a sixteenth and a quarter of it.
    sparsity : tuple of int
        Rounds J and atoms a round L of ICFL; at most J * L atoms code a unit (with ``batchtopk`` so many on average).
    whitening : str
        ``none``, ``center``, ``pca`` or ``tvn``, on control tokens alone, see `Whitening.fit`; or ``align``: ``tvn``
        on the controls of all plates, then every plate is aligned to its own controls (`Whitening.align`), here and
        wherever the lens is applied.
    method : str
        ``icfl``, ``nested``, ``topk``, ``batchtopk`` or ``mpsae``, see `fit_dictionary`.
    seed : int
        Of the dictionary and of the sample.
    device : str or sequence of str
        ``auto``, ``cpu``, ``cuda`` (all of them), ``cuda:1``, ``mps``, or several.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.
    normalise : str
        ``plate``, ``field`` or ``lens``: where the numbers of the pixel rule come from. ``field`` erases intensity.
    foreground : str
        ``auto``, ``nuclei``, ``background`` or ``none``.
    nuclear : str, optional
        The nuclear channel where its name does not tell.
    margin : int
        Rim of a tile, in patches, that is not kept.
    steps : int, optional
        Training steps of the dictionary.
    weights : path, optional
        Weights file of the encoder.
    tokens : path, optional
        Folder of token stores; default: the user's cache.
    checkpoint : path, optional
        File in which the training of the dictionary is kept, and from which it goes on.
    batch : int, optional
        Tiles of one forward; default: found on this machine.
    precision : str
        Of the forward: ``auto`` (float32 on the CPU; else float16 or bfloat16 where they differ little from float32),
        ``float32``, ``float16``, ``bfloat16``.
    compiled : bool
        Whether `torch.compile` compiles the forward.
    start : Lens or path, optional
        Start the dictionary from this lens's atoms instead of random ones; of fewer atoms than asked for the rest are
        random. Same encoder, weights, block, channels and pooling; another whitening will do: atoms are directions of
        tokens and are carried over (`carry`), an encoder of an autoencoder is then left behind.
    fit_on : str or sequence of str, optional
        Wells that the fit may look at, a query or names, for each plate; default: all. No pixel of another well is
        read: the pixel rule, the foreground rule and the whitening come from the controls among these wells, the
        dictionary and its held-out quality from a sample of them, so that figures of the other wells owe nothing to
        their having been fitted on. Only the rounding of stored tokens to half precision may stem from other control
        wells, where a token store is there already.

    Returns
    -------
    Lens
        Ready to apply and to save.

    Raises
    ------
    RunError
        Where settings, channels, controls or the lens to start from do not fit.
    DictionaryError
        Where method, atoms and sparsity do not go together; this is said before anything is encoded.
    Cancelled
        Where the user asked to stop; tokens and checkpoint stay.

    Notes
    -----
    Donhauser et al. 2025 (ICFL, arXiv 2412.16247). Control tokens are centred for each place in the tile before their
    covariance is taken, since whitening would lift that nuisance to full strength.
    """
    if unit not in UNITS:
        raise RunError(f"unit {unit!r} is unknown; choose one of {', '.join(UNITS)}")
    if whitening not in WHITENINGS:
        raise RunError(f"whitening {whitening!r} is unknown; choose one of {', '.join(WHITENINGS)}")
    check_method(method, atoms, sparsity)
    many: list[Plate] = list(plates) if isinstance(plates, Sequence) else [plates]
    if not many:
        raise RunError("there is no plate to fit on; give one or several")
    wanted = resolve_channels(many[0], channels)
    if unit == "cell" and (nuclear or nuclear_channel(many[0], wanted)) is None:
        raise RunError(
            f"unit 'cell' needs a nuclear channel, and none of {', '.join(wanted)} is known as one; "
            "name it: --channels DNA=<channel> (Python: channels={'DNA': ...})"
        )
    engine = engine_for(
        encoder, device, block=block, weights=weights, batch=batch, precision=precision, compiled=compiled,
        progress=progress, cancel=cancel,
    )  # fmt: skip
    enc = engine.encoder()
    check_fits(enc, len(wanted), enc.patch, margin)
    begin = None if start is None else start if isinstance(start, Lens) else load_lens(start)
    if begin is not None:
        _check_start(begin, enc, tuple(wanted), pooling_for(channel_pooling, len(wanted)), atoms)
    rules = Rules(channels, channel_pooling, unit, normalise, foreground, nuclear, margin)
    ground = lay_out(many, controls, fit_on, rules, engine, tokens, progress, cancel)
    benches, draft = ground.benches, ground.draft

    white, counts = fit_whitening(ground, "tvn" if whitening == ALIGN else whitening, progress, cancel)
    own = [align_to(bench, draft, white, cancel) if whitening == ALIGN else white for bench in benches]
    rows, of_wells = sample_rows(ground, own, seed, progress, cancel)
    if len(rows) < 2 * sparsity[0] * sparsity[1]:
        raise RunError(
            f"only {len(rows)} {unit} tokens show cells; check the controls, the channels and the foreground"
        )
    order = np.random.default_rng([seed, 17]).permutation(len(rows))
    held = min(HELD_OUT, len(rows) // 10)
    test, train = np.sort(order[:held]), np.sort(order[held:])
    dictionary = fit_dictionary(
        rows[train],
        atoms=atoms,
        sparsity=sparsity,
        method=method,
        steps=steps,
        seed=seed,
        start=None if begin is None else carry(begin.dictionary, begin.whitening, white),
        checkpoint=Path(checkpoint) if checkpoint is not None else None,
        progress=progress,
        cancel=cancel,
    )
    quality = {k: float(v) for k, v in reconstruction(dictionary, rows[test].astype(np.float32)).items()}
    facts: dict[str, Any] = {
        "held_out": quality,
        "control_tokens": counts,
        "dictionary_tokens": len(train),
        "dictionary_wells": of_wells,
        "settings": {
            "atoms": atoms, "sparsity": list(sparsity), "whitening": whitening, "method": method, "seed": seed,
            "normalise": normalise, "foreground": foreground, "steps": steps,
        },
    }  # fmt: skip
    if begin is not None:
        facts["start"] = begin.fingerprint
    if fit_on is not None:
        facts["fit_on"] = [f"{b.plate.name}/{w}" for b, mine in zip(benches, ground.wells, strict=True) for w in mine]
    return Lens(
        encoder=enc.name,
        encoder_sha256=enc.sha256,
        block=enc.block,
        channels=draft.channels,
        channel_pooling=benches[0].settings.channel_pooling,
        patch=enc.patch,
        tile=enc.default_tile,
        margin=margin,
        unit=unit,
        pixel_size=many[0].pixel_size,
        normalisation=replace(ground.normalisation, rule=normalise),
        foreground=draft.foreground,
        nuclear=draft.nuclear,
        whitening=white,
        dictionary=dictionary,
        plates=tuple(b.plate.name for b in benches),
        controls=tuple(f"{b.plate.name}/{w}" for b in benches for w in b.controls),
        facts=facts,
        align=whitening == ALIGN,
    )


def _check_start(start: Lens, enc: Encoder, channels: tuple[str, ...], pooling: str, atoms: int) -> None:
    """Refuse to start from a lens whose atoms stand for other tokens, or are too many."""
    pairs = {
        "encoder": (start.encoder, enc.name),
        "weights": (start.encoder_sha256[:12], enc.sha256[:12]),
        "block": (start.block, enc.block),
        "channels": (", ".join(start.channels), ", ".join(channels)),
        "channel pooling": (start.channel_pooling, pooling),
    }
    differ = [f"{name} {there} there, {here} here" for name, (there, here) in pairs.items() if there != here]
    if differ:
        raise RunError(
            f"the lens to start from is of other tokens: {'; '.join(differ)}. "
            "Fit with its encoder, block and channels (in its order), or start from another lens or none"
        )
    if start.n_features > atoms:
        raise RunError(
            f"the lens to start from has {start.n_features} features, {atoms} are asked for; ask for as many, or more"
        )
