from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from napari_phenolens.encoders import Encoder, EncoderError, find_spec, list_encoders, load_encoder
from napari_phenolens.encoders.camae import CAMAEConfig, CAMAEDecoder, CAMAEEncoder, sincos_positions


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("camae-micro", device="cpu")


@pytest.fixture
def tiles():
    return np.random.default_rng(0).normal(size=(2, 3, 128, 128)).astype(np.float32)


def test_facts_agree_with_the_weights(encoder):
    spec = find_spec("camae-micro")
    assert isinstance(encoder, Encoder)
    assert (encoder.dim, encoder.patch, encoder.tile, encoder.blocks) == (spec.dim, spec.patch, spec.tile, spec.blocks)
    assert sum(p.numel() for p in encoder._network.parameters()) == spec.parameters
    assert len(encoder.sha256) == 64


def test_a_token_a_patch_and_channel(encoder, tiles):
    out = encoder.tokens(tiles)
    assert out.shape == (2, 3, 16, 16, 192) and out.dtype == np.float32
    assert np.isfinite(out).all()


def test_permuting_channels_permutes_tokens_only(encoder, tiles):
    order = [2, 0, 1]
    np.testing.assert_allclose(encoder.tokens(tiles[:, order]), encoder.tokens(tiles)[:, order], atol=2e-4)


def test_token_index_is_row_major(encoder):
    blank = np.zeros((1, 1, 128, 128), np.float32)
    marked = blank.copy()
    marked[..., 8 * 3 : 8 * 4, 8 * 5 : 8 * 6] = 3.0
    embed = encoder._network.embed
    with torch.inference_mode():
        change = (embed(torch.from_numpy(marked))[0] - embed(torch.from_numpy(blank))[0]).norm(dim=-1)[0, 0]
    assert np.flatnonzero(change.numpy() > 1e-6).tolist() == [3 * 16 + 5]


def test_blocks_are_prefixes_of_each_other(tiles):
    one, two = (load_encoder("camae-micro", device="cpu", block=b) for b in (1, 2))
    tokens = torch.from_numpy(one.tokens(tiles)).reshape(2, 3 * 256, 192)
    with torch.inference_mode():
        again = two._network.blocks[1](tokens).reshape(2, 3, 16, 16, 192).numpy()
    np.testing.assert_allclose(again, two.tokens(tiles), atol=1e-4)


def test_one_forward_gives_several_blocks(encoder, tiles):
    found = encoder.tokens_of_blocks(tiles, [5, 1, 3])
    assert list(found) == [5, 1, 3]
    for block, tokens in found.items():
        assert tokens.shape[-1] == encoder.dim_of(block)
        assert tokens.shape[2] == tiles.shape[2] // encoder.patch_of(block)
        np.testing.assert_array_equal(tokens, load_encoder("camae-micro", device="cpu", block=block).tokens(tiles))


def test_a_forward_stops_at_the_last_block_asked_for(encoder, tiles):
    ran = []
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: ran.append(i + 1))
        for i, layer in enumerate(encoder._network.blocks)
    ]
    encoder.tokens_of_blocks(tiles[:1], [1, 3])
    for hook in hooks:
        hook.remove()
    assert ran == [1, 2, 3]


def test_tensors_stay_on_the_device_and_follow_autocast(encoder, tiles):
    pixels = torch.from_numpy(tiles)
    out = encoder.forward_tensor(pixels)
    assert out.dtype == torch.float32 and not out.requires_grad
    np.testing.assert_array_equal(out.numpy(), encoder.tokens(tiles))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encoder.forward_tensor(pixels[:1])
    relative = (half.float() - out[:1]).norm() / out[:1].norm()
    assert 1e-6 < relative < 0.05
    with pytest.raises(EncoderError, match="blocks 1 to 6"):
        encoder.tokens_of_blocks(tiles, [2, 7])
    with pytest.raises(EncoderError, match="128 x 128"):
        encoder.forward_tensor(pixels[..., :64])


def test_batch_size_does_not_change_tokens(encoder, tiles):
    np.testing.assert_allclose(encoder.tokens(tiles)[1:], encoder.tokens(tiles[1:]), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "text"),
    [((1, 1, 64, 64), "128 x 128"), ((1, 9, 128, 128), "1 to 8 channels"), ((1, 128, 128), r"\(n, c, y, x\)")],
)
def test_wrong_tiles_are_refused(encoder, shape, text):
    with pytest.raises(EncoderError, match=text):
        encoder.tokens(np.zeros(shape, np.float32))


def test_no_tiles_give_no_tokens(encoder):
    assert encoder.tokens(np.zeros((0, 2, 128, 128), np.float32)).shape == (0, 2, 16, 16, 192)


def test_unknown_names_blocks_and_devices_are_refused():
    with pytest.raises(EncoderError, match="camae-micro"):
        load_encoder("no-such-model")
    with pytest.raises(EncoderError, match="blocks 1 to 6"):
        load_encoder("camae-micro", block=7, device="cpu")
    with pytest.raises(EncoderError, match="not on this machine"):
        load_encoder("camae-micro", device="tpu")


def test_weights_that_are_none_are_refused(tmp_path):
    for name, content in {
        "a.safetensors": b"nonsense",
        "b.safetensors": pickle.dumps({"a": 1}),
        "c.pt": b"PK\x03\x04",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EncoderError, match=name):
            load_encoder("camae-micro", weights=tmp_path / name)
    with pytest.raises(EncoderError, match="no such weights"):
        load_encoder("camae-micro", weights=tmp_path / "missing.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "d.safetensors")
    with pytest.raises(EncoderError, match="no configuration"):
        load_encoder("camae-micro", weights=tmp_path / "d.safetensors")


def test_the_list_is_a_table_and_the_room_can_be_called():
    import napari_phenolens as ph

    table = list_encoders()
    assert {"name", "licence", "channels", "patch", "dim", "parameters", "weights", "available"} <= set(table)
    assert bool(table.set_index("name").loc["camae-micro", "available"])
    pd.testing.assert_frame_equal(ph.encoders(), table)


def test_positions_are_fixed_and_different():
    codes = sincos_positions(16, 16, 192)
    assert codes.shape == (256, 192)
    assert torch.cdist(codes, codes).add(torch.eye(256) * 9).min() > 0.1


def test_the_decoder_tells_channels_apart_and_learns():
    torch.manual_seed(0)
    config = CAMAEConfig(dim=32, depth=1, heads=2, decoder_dim=32)
    encoder, decoder = CAMAEEncoder(config), CAMAEDecoder(config)
    level = torch.randn(16, 2, 1, 1)
    pixels = level.expand(16, 2, 32, 32)  # each channel has one value, to be told from its visible patches
    seen = torch.arange(4).expand(16, 2, 4)
    asked = torch.arange(8, 16).expand(16, 2, 8)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    losses = []
    for _ in range(150):
        tokens, rows, columns = encoder.embed(pixels)
        visible = encoder.transform(tokens[:, :, :4].reshape(16, 8, 32)).reshape(16, 2, 4, 32)
        out = decoder(visible, seen, asked, rows, columns)
        loss = ((out - level) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(("channels", "block", "margin"), [(1, 1, 2), (3, 4, 2), (2, 6, 7), (2, 4, 0)])
def test_inner_tokens_are_those_of_the_whole_tile(channels, block, margin):
    encoder = load_encoder("camae-micro", device="cpu", block=block)
    pixels = torch.randn(2, channels, 128, 128, generator=torch.Generator().manual_seed(0))
    inner = slice(margin, 16 - margin)
    whole = encoder.forward_tensor(pixels)[:, :, inner, inner]
    found = encoder.forward_inner(pixels, margin)
    assert found.shape == whole.shape
    torch.testing.assert_close(found, whole, atol=2e-5, rtol=1e-5)
    assert encoder.forward_inner(pixels[:0], margin).shape == (0, *whole.shape[1:])
    with pytest.raises(EncoderError, match="128 x 128"):
        encoder.forward_inner(pixels[..., :64], margin)
