"""A lens: all it takes to turn pixels into features. Holds, saves, loads, checks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_phenolens.cells import Foreground
from napari_phenolens.dictionary import Dictionary, Whitening
from napari_phenolens.errors import PhenoLensError

FORMAT = "napari-phenolens lens"
VERSION = 1


class LensError(PhenoLensError):
    """A lens file is no lens, or a lens does not fit a plate; the message says how to go on."""


@dataclass(frozen=True)
class Normalisation:
    """How pixels become what the encoder wants.

    Pixels of a channel are scaled so that `low` to `high` is 0 to 255, or 0 to 1 of `output`; for encoders without an
    input range the logarithm ``log(1 + v)`` of the non-negative part is then standardised by `mean` and `sd`.

    Attributes
    ----------
    rule : str
        Where the numbers come from: ``plate`` (the control wells of the plate at hand), ``field`` (each field its own,
        which erases intensity), ``lens`` (the plate that the lens was fitted on).
    output : tuple of float or None
        The encoder's input range; None: the standardised logarithm.
    low, high, mean, sd : tuple of float
        A number a channel, in the order of the lens's channels.
    """

    rule: str = "plate"
    output: tuple[float, float] | None = None
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {k: getattr(self, k) for k in ("rule", "output", "low", "high", "mean", "sd")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Normalisation:
        """Take the numbers from what `to_dict` gave."""
        numbers = {k: tuple(values[k]) for k in ("low", "high", "mean", "sd")}
        output = values["output"]
        return cls(values["rule"], tuple(output) if output is not None else None, **numbers)


@dataclass(frozen=True)
class Lens:
    """Encoder, pixel rules, geometry, foreground rule, whitening and dictionary.

    Attributes
    ----------
    encoder, encoder_sha256 : str
        Name of the encoder and checksum of its weights.
    block : int
        The block whose tokens are used.
    channels : tuple of str
        Channel names, in the order in which the encoder sees them.
    channel_pooling : str
        ``concat`` or ``mean`` of the tokens per channel.
    patch, tile, margin : int
        Sides of patch and tile in px; rim of a tile in patches that is not kept.
    unit : str
        What the dictionary codes: ``patch``, ``crop`` or ``cell``.
    pixel_size : float or None
        um per pixel of the fitted plate, to which fields are resampled; None: unknown.
    normalisation : Normalisation
        Rule and numbers of the fitted plate.
    foreground : Foreground
        The foreground rule.
    nuclear : str or None
        The nuclear channel, for counts and cells.
    whitening : Whitening
        Fitted on the control tokens.
    dictionary : Dictionary
        The atoms, in whitened space.
    plates, controls : tuple of str
        The plates that it was fitted on, and their control wells as ``plate/well``.
    facts : dict
        What is worth knowing of the fit: numbers of tokens, quality on held-out tokens, settings, versions; where they
        were given, the fingerprint of the lens it was started from (``start``) and the wells it was fitted on
        (``fit_on``).
    align : bool
        Whether the whitening is aligned to the controls of every plate that the lens is applied to.
    common : Whitening or None
        The whitening that all plates share, where `whitening` is that of one plate (in a run).
    """

    encoder: str
    encoder_sha256: str
    block: int
    channels: tuple[str, ...]
    channel_pooling: str
    patch: int
    tile: int
    margin: int
    unit: str
    pixel_size: float | None
    normalisation: Normalisation
    foreground: Foreground
    nuclear: str | None
    whitening: Whitening
    dictionary: Dictionary
    plates: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    align: bool = False
    common: Whitening | None = None

    @property
    def n_features(self) -> int:
        """Number of atoms."""
        return int(self.dictionary.atoms.shape[0])

    @property
    def fingerprint(self) -> str:
        """A short checksum of everything that decides the numbers a run gives; of an aligned lens, before that."""
        import hashlib

        if self.common is not None:
            return replace(self, whitening=self.common, common=None).fingerprint

        digest = hashlib.sha256(json.dumps(self._header(), sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def aligned(self, whitening: Whitening) -> Lens:
        """Give this lens with the whitening of one plate in the place of the common one, which it keeps."""
        return replace(self, whitening=whitening, common=self.common or self.whitening)

    def controls_of(self, plate: str) -> list[str]:
        """Give the control wells of one plate that the lens was fitted on."""
        return [c.rsplit("/", 1)[1] for c in self.controls if c.rsplit("/", 1)[0] == plate]

    def match_channels(
        self, available: Sequence[str], channels: Mapping[str, str] | Sequence[str] | None = None
    ) -> dict[str, str]:
        """Find the plate's channel for each channel of the lens.

        Parameters
        ----------
        available : sequence of str
            The plate's channel names.
        channels : mapping, optional
            Lens channel to plate channel, for those whose names differ.

        Returns
        -------
        dict
            Lens channel to plate channel, in the lens's order.

        Raises
        ------
        LensError
            Where a channel is missing; the message gives the mapping to type.
        """
        if channels is not None and not isinstance(channels, Mapping):
            channels = {name: name for name in channels}
        mapping = dict(channels or {})
        unknown = [k for k in mapping if k not in self.channels]
        if unknown:
            raise LensError(f"the lens has no channel {', '.join(unknown)}; its channels: {', '.join(self.channels)}")
        found = {name: mapping.get(name, name) for name in self.channels}
        missing = [name for name, source in found.items() if source not in available]
        if missing:
            example = ",".join(f"{name}=<one of {'|'.join(available)}>" for name in missing)
            raise LensError(
                f"the plate has channels {', '.join(available)}; the lens needs {', '.join(self.channels)} "
                f"and finds no {', '.join(missing)}. Map them: --channels {example} "
                f"(Python: channels={{{', '.join(f'{n!r}: ...' for n in missing)}}})"
            )
        if len(set(found.values())) < len(found):
            raise LensError(f"two channels of the lens are mapped to one of the plate: {found}; map each to its own")
        return found

    def save(self, path: str | Path) -> Path:
        """Write the lens to one safetensors file, at once or not at all.

        Parameters
        ----------
        path : path
            Where to; the suffix ``.safetensors`` is added where it lacks.

        Returns
        -------
        Path
            The file.
        """
        from safetensors.numpy import save_file

        target = Path(path)
        if target.suffix != ".safetensors":
            target = target.with_name(target.name + ".safetensors")
        target.parent.mkdir(parents=True, exist_ok=True)
        header = {"format": FORMAT, "version": str(VERSION), "lens": json.dumps(self._header())}
        scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        save_file({k: np.ascontiguousarray(v) for k, v in self._arrays().items()}, scratch, metadata=header)
        os.replace(scratch, target)
        return target

    def _header(self) -> dict[str, Any]:
        plain = {
            k: getattr(self, k)
            for k in (
                "encoder", "encoder_sha256", "block", "channels", "channel_pooling", "patch", "tile", "margin", "unit",
                "pixel_size", "nuclear", "plates", "controls", "facts",
            )
        }  # fmt: skip
        # what only some lenses have: the others' files and fingerprints stay as they were
        if self.align:
            plain["align"] = True
        if self.common is not None:
            plain["common"] = self.common.meta()
        return plain | {
            "normalisation": self.normalisation.to_dict(),
            "foreground": self.foreground.to_dict(),
            "whitening": self.whitening.meta(),
            "dictionary": self.dictionary.meta(),
        }

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {f"whitening.{k}": v for k, v in self.whitening.to_arrays().items()}
        if self.common is not None:
            arrays |= {f"common.{k}": v for k, v in self.common.to_arrays().items()}
        return arrays | {f"dictionary.{k}": v for k, v in self.dictionary.to_arrays().items()}


def load_lens(path: str | Path) -> Lens:
    """Load a lens.

    Parameters
    ----------
    path : path
        A file that `Lens.save` wrote.

    Returns
    -------
    Lens
        The lens.

    Raises
    ------
    LensError
        Where the file is missing, damaged, no lens, or written by a newer version.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise LensError(f"{path}: no such lens file; save one with Lens.save or `phenolens run`")
    try:
        with safe_open(path, framework="numpy") as handle:
            facts = dict(handle.metadata() or {})
            arrays = {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LensError(f"{path}: not a whole safetensors file ({error}); fit or copy the lens again") from error
    if facts.get("format") != FORMAT:
        raise LensError(f"{path}: a safetensors file, but no lens; choose a file that Lens.save wrote")
    if int(facts["version"]) > VERSION:
        raise LensError(f"{path}: written by a newer napari-phenolens (lens version {facts['version']}); update it")
    header = json.loads(facts["lens"])

    def part(name: str) -> dict[str, npt.NDArray[Any]]:
        return {k[len(name) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{name}.")}

    whitening = Whitening.from_arrays(part("whitening"), header.pop("whitening"))
    dictionary = Dictionary.from_arrays(part("dictionary"), header.pop("dictionary"))
    if "common" in header:
        header["common"] = Whitening.from_arrays(part("common"), header["common"])
    header |= {k: tuple(header[k]) for k in ("channels", "plates", "controls")}
    header["normalisation"] = Normalisation.from_dict(header["normalisation"])
    header["foreground"] = Foreground.from_dict(header["foreground"])
    return Lens(whitening=whitening, dictionary=dictionary, **header)
