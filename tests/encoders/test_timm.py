"""Vision transformers of timm: tokens are timm's own, whatever the family."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from tiny_timm import FAMILIES, make_weights

from napari_phenolens.encoders import Encoder, EncoderError, load_encoder
from napari_phenolens.encoders.catalogue import TIMM, known_timm
from napari_phenolens.encoders.timm_facts import facts_of, resolve_model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file of weights and timm's own network for each family."""
    folder = tmp_path_factory.mktemp("timm")
    found = {}
    for model in (*FAMILIES, "tiny_grey"):
        path = folder / f"{model}.safetensors"
        found[model] = path, make_weights(model, path)
    return found


def load(made, model, options="", **kwargs):
    return load_encoder(f"timm:{model}{options}", weights=made[model][0], device="cpu", **kwargs)


def timms_own(network, pixels, block, **extra):
    """What timm gives for plate channels seen one by one, ``(n, c, gy, gx, d)``; written without our code."""
    cfg = network.pretrained_cfg
    mean, std = (torch.tensor(cfg[k])[:, None, None] for k in ("mean", "std"))
    each = []
    for channel in range(pixels.shape[1]):
        grey = torch.from_numpy(pixels[:, channel : channel + 1]).expand(-1, cfg["input_size"][0], -1, -1)
        with torch.inference_mode():
            each.append(
                network.forward_intermediates(
                    (grey - mean) / std, indices=[block - 1], intermediates_only=True, **extra
                )[0]
            )
    return torch.stack(each, 1).permute(0, 1, 3, 4, 2).numpy()


def pixels_of(side, c=2, n=2, x=None):
    return np.random.default_rng(0).random((n, c, side, x or side)).astype(np.float32)


@pytest.mark.parametrize("model", FAMILIES)
def test_tokens_are_timms(made, model):
    network = made[model][1]
    side = network.pretrained_cfg["input_size"][1]
    extra = {"coarse": False} if model == "tiny_hiera" else {}
    encoder = load(made, model)
    assert isinstance(encoder, Encoder) and encoder.input_range == (0.0, 1.0) and encoder.channels is None
    pixels = pixels_of(side)
    found = encoder.tokens_of_blocks(pixels, range(1, encoder.blocks + 1))
    for block, tokens in found.items():
        wanted = timms_own(network, pixels, block, **extra)
        assert tokens.shape == wanted.shape == (2, 2, side // encoder.patch_of(block), side // encoder.patch_of(block),
                                                encoder.dim_of(block))  # fmt: skip
        np.testing.assert_allclose(tokens, wanted, atol=2e-5)
        np.testing.assert_allclose(load(made, model, block=block).tokens(pixels), tokens, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "prefix"), [("tiny_dinov2", 5), ("tiny_dinov3", 5), ("tiny_mae", 1), ("tiny_siglip", 0)]
)
def test_prefix_tokens_are_dropped(made, model, prefix):
    network = made[model][1]
    side = network.pretrained_cfg["input_size"][1]
    patch = network.patch_embed.patch_size[0]
    assert network.num_prefix_tokens == prefix
    sequence = []
    hook = network.blocks[1].register_forward_hook(lambda m, i, out: sequence.append(out))
    pixels = pixels_of(side, c=1, n=1)
    timms_own(network, pixels, 2)
    hook.remove()
    assert sequence[0].shape[1] == prefix + (side // patch) ** 2
    tokens = load(made, model, block=2).tokens(pixels)
    np.testing.assert_allclose(tokens.reshape(-1, 48), sequence[0][0, prefix:], atol=2e-5)


@pytest.mark.parametrize("model", FAMILIES)
def test_other_sizes_and_oblong_ones(made, model, tmp_path):
    encoder = load(made, model, block=2)
    unit = max(encoder.patch_of(b) for b in range(1, encoder.blocks + 1))
    y, x = 2 * unit, 3 * unit
    pixels = pixels_of(y, x=x)
    tokens = encoder.tokens(pixels)
    assert tokens.shape == (2, 2, y // encoder.patch, x // encoder.patch, encoder.dim)
    if model != "tiny_hiera":  # which timm does not resample by itself
        state = load_file(made[model][0])
        other = timm.create_model(
            model, pretrained=True, img_size=(y, x), num_classes=0, pretrained_cfg_overlay={"file": str(made[model][0])}
        ).eval()
        assert set(other.state_dict()) == set(state)
        np.testing.assert_allclose(tokens, timms_own(other, pixels, 2), atol=2e-5)
    turned = encoder.tokens(pixels[:, ::-1])
    np.testing.assert_allclose(turned, tokens[:, ::-1], atol=1e-6)


def test_hieras_positions_are_resampled(made):
    encoder = load(made, "tiny_hiera")
    own = load_file(made["tiny_hiera"][0])["pos_embed"]
    torch.testing.assert_close(encoder.network((64, 64)).pos_embed.data, own)
    smooth = encoder.network((128, 64)).pos_embed.data
    assert smooth.shape == (1, 32 * 16, 24)
    coarse = smooth.reshape(16, 2, 16, 24).mean(1)  # twice as fine along y: pairs of rows average to about the old ones
    correlation = np.corrcoef(coarse.ravel(), own.ravel())[0, 1]
    assert correlation > 0.9


def test_hiera_stages_have_their_own_grids(made):
    encoder = load(made, "tiny_hiera", block=3)
    assert [encoder.patch_of(b) for b in range(1, 6)] == [4, 8, 16, 16, 32]
    assert [encoder.dim_of(b) for b in range(1, 6)] == [24, 48, 96, 96, 192]
    assert (encoder.patch, encoder.dim, encoder.default_tile, encoder.tile) == (16, 96, 64, None)
    with pytest.raises(EncoderError, match="multiples of 32 px; these are 64 x 48"):
        encoder.tokens(pixels_of(64, x=48))


def test_a_triple_shares_tokens(made):
    network = made["tiny_mae"][1]
    encoder = load(made, "tiny_mae", "?channels=triple", block=2)
    assert (encoder.channels, encoder.max_channels, encoder.name) == (3, 3, "timm:tiny_mae.test?channels=triple")
    pixels = pixels_of(64, c=3)
    tokens = encoder.tokens(pixels)
    mean, std = (torch.tensor(network.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
    with torch.inference_mode():
        image = (torch.from_numpy(pixels) - mean) / std
        wanted = network.forward_intermediates(image, indices=[1], intermediates_only=True)[0]
    np.testing.assert_allclose(tokens[:, 0], wanted.permute(0, 2, 3, 1), atol=2e-5)
    assert tokens.shape == (2, 1, 4, 4, 48)
    with pytest.raises(EncoderError, match="takes 3 channels; these tiles have 2"):
        encoder.tokens(pixels[:, :2])


def test_networks_of_one_channel(made):
    encoder = load(made, "tiny_grey", block=3)
    pixels = pixels_of(32, c=4)
    np.testing.assert_allclose(encoder.tokens(pixels), timms_own(made["tiny_grey"][1], pixels, 3), atol=2e-5)


def test_work_stops_at_the_block_and_no_norm_is_applied(made):
    encoder = load(made, "tiny_dinov2", block=2)
    network, ran = encoder.network((56, 56)), []
    layers = [*enumerate(network.blocks, 1), ("norm", network.norm)]
    hooks = [layer.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, layer in layers]
    encoder.tokens(pixels_of(56))
    for hook in hooks:
        hook.remove()
    assert ran == [1, 2]


def test_names_say_everything(made):
    for written, name in {
        "": "timm:tiny_mae.test",
        ".test": "timm:tiny_mae.test",
        "?channels=each": "timm:tiny_mae.test",
        "?tile=96": "timm:tiny_mae.test?tile=96",
        "?tile=96&channels=triple": "timm:tiny_mae.test?channels=triple&tile=96",
    }.items():
        encoder = load(made, "tiny_mae", written)
        assert encoder.name == name
        assert load_encoder(name, weights=made["tiny_mae"][0], device="cpu").name == name
    assert (encoder.tile, encoder.default_tile) == (96, 96)
    with pytest.raises(EncoderError, match="takes tiles of 96 x 96 px"):
        encoder.tokens(pixels_of(64, c=3))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timm:tiny_mae?tile=40", "multiples of 16 px"),
        ("timm:tiny_mae?tile=big", "whole number"),
        ("timm:tiny_mae?channels=two", "one of each, triple"),
        ("timm:tiny_mae?norm=1", "no option norm"),
        ("timm:tiny_mae?tile", "key=value"),
        ("timm:tiny_mea", "near it: timm:tiny_mae"),
        ("timm:tiny_mae.other", r"no weights 'tiny_mae.other'; it has tiny_mae.test"),
        ("timm:vgg11", "no vision transformer"),
    ],
)
def test_names_that_do_not_fit_are_refused(made, name, text):
    with pytest.raises(EncoderError, match=text):
        load_encoder(name, weights=made["tiny_mae"][0], device="cpu")


def test_weights_that_do_not_fit_are_refused(made, tmp_path):
    with pytest.raises(EncoderError, match="cannot be loaded as timm:tiny_mae"):
        load_encoder("timm:tiny_mae", weights=made["tiny_dinov2"][0], device="cpu")
    state = load_file(made["tiny_mae"][0])
    state.pop("blocks.1.attn.proj.bias")
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(EncoderError, match=r"blocks\.1\.attn\.proj\.bias"):
        load_encoder("timm:tiny_mae", weights=tmp_path / "less.safetensors", device="cpu")
    with pytest.raises(EncoderError, match="blocks 1 to 3; block 4"):
        load(made, "tiny_mae", block=4)


def test_a_classifier_in_the_file_is_left_out(tmp_path):
    path = tmp_path / "classes.safetensors"
    network = make_weights("tiny_mae", path, num_classes=7)
    assert "head.weight" in load_file(path)
    pixels = pixels_of(64)
    tokens = load_encoder("timm:tiny_mae", weights=path, device="cpu").tokens(pixels)
    np.testing.assert_allclose(tokens, timms_own(network, pixels, 3), atol=2e-5)


def test_autocast_is_followed(made):
    encoder = load(made, "tiny_mae")
    pixels = torch.from_numpy(pixels_of(64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encoder.forward_tensor(pixels).float()
    full = encoder.forward_tensor(pixels)
    assert 1e-5 < (half - full).norm() / full.norm() < 0.05


@pytest.mark.parametrize("row", TIMM, ids=[row[0] for row in TIMM])
def test_the_catalogue_says_what_timm_says(row):
    model, _, licence, patch, dim, blocks, parameters = row
    facts = facts_of(resolve_model(model))
    assert facts.model == model and facts.licence == licence and facts.repo == f"timm/{model}"
    assert (facts.patches[-1], facts.dims[-1], len(facts.dims), facts.parameters) == (patch, dim, blocks, parameters)
    assert facts.default_tile % facts.unit == 0 and 224 <= facts.default_tile <= 256
    assert f"timm:{model}" in [spec.name for spec in known_timm()]
