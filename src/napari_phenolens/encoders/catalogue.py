"""The encoders that the package lists by name, as plain facts: listing them brings in no torch.

Every other timm model goes by ``timm:<model>`` as well; these are the ones people ask for first. Their numbers are
checked against timm by a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_phenolens.encoders.hub import HubWeights

if TYPE_CHECKING:
    from napari_phenolens.encoders.base import Encoder
    from napari_phenolens.encoders.timm_facts import TimmFacts
    from napari_phenolens.encoders.timm_vit import TimmOptions

Load = Callable[["Path | None", str, "int | None"], "Encoder"]

BY_HAND = "a file of yours: --weights FILE"


@dataclass(frozen=True)
class EncoderSpec:
    """What is known of an encoder without loading it.

    Attributes
    ----------
    name, licence, description : str
        Name in the registry, licence of the weights, one line for people.
    channels : str
        How many channels it takes.
    patch, tile, dim, blocks, parameters : int or None
        Side in px of what a token of the last block stands for and of a tile (None: any), width of such a token, number
        of blocks and of encoder parameters.
    weights : str
        Where the weights come from.
    load : callable
        ``load(weights, device, block)`` gives the encoder; `weights` is a file, or None where it brings its own.
    available : callable
        Whether the weights are on this machine.
    hub : HubWeights or None
        Where the hub has them.
    """

    name: str
    licence: str
    description: str
    channels: str
    patch: int | None
    tile: int | None
    dim: int | None
    blocks: int | None
    parameters: int | None
    weights: str
    load: Load
    available: Callable[[], bool]
    hub: HubWeights | None = None


def camae_micro() -> EncoderSpec:
    """Give the encoder that comes with the package."""
    from napari_phenolens.encoders.weights import packaged

    def load(weights: Path | None, device: str, block: int | None) -> Encoder:
        from napari_phenolens.encoders.camae_micro import CAMAEMicro

        return CAMAEMicro(weights, device, block)

    return EncoderSpec(
        name="camae-micro",
        licence="BSD-3-Clause",
        description="small channel-agnostic masked autoencoder, trained by this project on open microscopy images",
        channels="1-8",
        patch=8,
        tile=128,
        dim=192,
        blocks=6,
        parameters=2_682_048,
        weights="in the package",
        load=load,
        available=lambda: packaged("camae-micro.safetensors").is_file(),
    )


OPENPHENOM_HUB = HubWeights(
    repo="recursionpharma/OpenPhenom",
    filename="model.safetensors",
    licence="Recursion non-commercial end user licence",
    licence_url="https://huggingface.co/recursionpharma/OpenPhenom/blob/main/LICENSE",
)
CLOSED = "closed weights of Recursion"

# name, description, licence, channels, patch, dim, blocks, parameters, hub
MAES: tuple[tuple[str, str, str, str, int, int, int, int, HubWeights | None], ...] = (
    ("openphenom", "OpenPhenom: channel-agnostic masked autoencoder ViT-S/16 of RxRx3 and JUMP-CP images",
     OPENPHENOM_HUB.licence, "1-11", 16, 384, 12, 22_459_776, OPENPHENOM_HUB),
    ("mae-l8", "masked autoencoder ViT-L/8 of the papers (Phenom-1), six Cell Painting channels",
     CLOSED, "6", 8, 1024, 24, 303_664_128, None),
    ("mae-g8", "masked autoencoder ViT-G/8 of the papers (Phenom-2), six Cell Painting channels",
     CLOSED, "6", 8, 1664, 48, 1_843_414_656, None),
)  # fmt: skip


def mae(name: str) -> EncoderSpec:
    """Give one of Recursion's masked autoencoders."""
    _, description, licence, channels, patch, dim, blocks, parameters, hub = next(m for m in MAES if m[0] == name)

    def load(weights: Path | None, device: str, block: int | None) -> Encoder:
        from napari_phenolens.encoders.errors import EncoderError
        from napari_phenolens.encoders.mae import CONFIGS, MAEEncoder

        if weights is None:
            raise EncoderError(
                f"the weights of {name} are not public; where you have them, give the file: --weights FILE"
            )
        return MAEEncoder(name, CONFIGS[name], weights, licence, device, block)

    return EncoderSpec(
        name=name, licence=licence, description=description, channels=channels, patch=patch, tile=256, dim=dim,
        blocks=blocks, parameters=parameters, weights=BY_HAND if hub is None else hub.url, load=load,
        available=lambda: hub is not None and hub.cached() is not None, hub=hub,
    )  # fmt: skip


# model, description, licence, patch and dim of the last block, blocks, parameters without the head
TIMM: tuple[tuple[str, str, str, int, int, int, int], ...] = (
    ("vit_small_patch14_reg4_dinov2.lvd142m", "DINOv2 with registers, ViT-S/14", "apache-2.0", 14, 384, 12, 22_057_344),
    ("vit_base_patch14_reg4_dinov2.lvd142m", "DINOv2 with registers, ViT-B/14", "apache-2.0", 14, 768, 12, 86_582_016),
    ("vit_large_patch14_reg4_dinov2.lvd142m", "DINOv2 with registers, ViT-L/14", "apache-2.0", 14, 1024, 24,
     304_370_688),
    ("vit_small_patch16_dinov3.lvd1689m", "DINOv3, ViT-S/16", "dinov3-license", 16, 384, 12, 21_586_944),
    ("vit_base_patch16_dinov3.lvd1689m", "DINOv3, ViT-B/16", "dinov3-license", 16, 768, 12, 85_641_216),
    ("vit_large_patch16_dinov3.lvd1689m", "DINOv3, ViT-L/16", "dinov3-license", 16, 1024, 24, 303_079_424),
    ("vit_small_patch8_224.dino", "DINO, ViT-S/8", "apache-2.0", 8, 384, 12, 21_670_272),
    ("vit_base_patch16_224.mae", "MAE, ViT-B/16", "cc-by-nc-4.0", 16, 768, 12, 85_798_656),
    ("vit_large_patch16_224.mae", "MAE, ViT-L/16", "cc-by-nc-4.0", 16, 1024, 24, 303_301_632),
    ("vit_base_patch16_siglip_224.v2_webli", "SigLIP 2, ViT-B/16", "apache-2.0", 16, 768, 12, 92_884_224),
    ("eva02_small_patch14_224.mim_in22k", "EVA-02, ViT-S/14", "mit", 14, 384, 12, 21_621_120),
    ("hiera_base_224.mae", "Hiera-B with MAE, patches of 4 to 32 px", "cc-by-nc-4.0", 32, 768, 24, 50_755_968),
)  # fmt: skip
# Pathology models on the hub, which may ask people to apply for them.
# repository, description, licence, patch and dim of the last block, blocks, parameters without the head
PATHOLOGY: tuple[tuple[str, str, str, int, int, int, int], ...] = (
    ("MahmoodLab/UNI", "UNI, pathology, ViT-L/16", "cc-by-nc-nd-4.0", 16, 1024, 24, 303_350_784),
    ("bioptimus/H-optimus-0", "H-optimus-0, pathology, ViT-g/14", "apache-2.0", 14, 1536, 40,
     1_134_774_272),
)  # fmt: skip


def timm_hub(repo: str, licence: str, filename: str = "model.safetensors", revision: str | None = None) -> HubWeights:
    """Give a timm model's place on the hub; older repositories have a torch pickle alone."""
    url = f"https://huggingface.co/{repo}"
    return HubWeights(repo, filename, licence, url, revision, alternatives=("pytorch_model.bin",))


def known_timm() -> list[EncoderSpec]:
    """Give the timm models that are listed by name."""
    rows = [(f"timm/{row[0]}", *row) for row in TIMM]
    rows += [(row[0], f"hf-hub:{row[0]}", *row[1:]) for row in PATHOLOGY]
    return [_listed(*row) for row in rows]


def _listed(
    repo: str, model: str, description: str, licence: str, patch: int, dim: int, blocks: int, parameters: int
) -> EncoderSpec:
    hub = timm_hub(repo, licence)
    return EncoderSpec(
        name=f"timm:{model}", licence=licence, description=description, channels=TIMM_CHANNELS, patch=patch, tile=None,
        dim=dim, blocks=blocks, parameters=parameters, weights=hub.url, load=_load_timm(f"timm:{model}"),
        available=lambda: hub.cached() is not None, hub=hub,
    )  # fmt: skip


TIMM_CHANNELS = "any, each alone; or 3"


def timm_spec(name: str) -> EncoderSpec:
    """Give the facts of any timm model by its name among our encoders, options included.

    Raises
    ------
    EncoderError
        Where timm has no such model, or it gives no tokens, or an option does not fit.
    """
    facts, options = _timm(name)
    listed = next((s for s in known_timm() if s.name == facts.name), None)
    hub = timm_hub(facts.repo, facts.licence, facts.filename or "", facts.revision) if facts.repo else None
    return EncoderSpec(
        name=options.spell(facts),
        licence=facts.licence,
        description=listed.description if listed is not None else f"{facts.model} of timm",
        channels=str(facts.in_channels) if options.channels == "triple" else TIMM_CHANNELS,
        patch=facts.patches[-1],
        tile=options.tile,
        dim=facts.dims[-1],
        blocks=len(facts.dims),
        parameters=facts.parameters,
        weights=BY_HAND if hub is None else hub.url,
        load=_load_timm(name),
        available=lambda: hub is not None and hub.cached() is not None,
        hub=hub,
    )


def _timm(name: str) -> tuple[TimmFacts, TimmOptions]:
    from napari_phenolens.encoders.names import split_name
    from napari_phenolens.encoders.timm_facts import PREFIX, facts_of, resolve_model
    from napari_phenolens.encoders.timm_vit import TimmOptions

    base, written = split_name(name)
    facts = facts_of(resolve_model(base.removeprefix(PREFIX)))
    listed = next((s for s in known_timm() if s.name == facts.name), None)
    if listed is not None:  # the description of a model on the hub does not always name its licence
        facts = replace(facts, licence=listed.licence)
    return facts, TimmOptions.read(name, written, facts)


def _load_timm(name: str) -> Load:
    def load(weights: Path | None, device: str, block: int | None) -> Encoder:
        from napari_phenolens.encoders.errors import EncoderError
        from napari_phenolens.encoders.timm_vit import TimmEncoder

        facts, options = _timm(name)
        if weights is None:
            raise EncoderError(f"{name}: the hub has no weights of it; give a file: --weights FILE")
        return TimmEncoder(facts, options, weights, device, block)

    return load
