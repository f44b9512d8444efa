import torch
from torch import nn

from netwright.artefact import Session, write
from netwright.data import Input, Schema, Target

DIGITS = Schema(
    Input("image", (1, 8, 8), mean=(0.3,), std=(0.4,)),
    Target("class", ("digit",), tuple("0123456789")),
)


def small_cnn():
    from netwright._rng import seeded

    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        ).eval()


def test_image_network_runs_from_pixels_and_from_features(tmp_path, generator):
    network = small_cnn()
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=generator)
    written = write(network, DIGITS, design="{}", folder=tmp_path, sample=pixels[:1] / 255)
    session = Session(written.onnx)
    expected = network(pixels / 255)
    # float32 sums of 72 terms of size 1 in another order: a few times 1e-7
    torch.testing.assert_close(session.predict(pixels / 255), expected, atol=1e-6, rtol=0)
    raw = session.predict_raw({"image": pixels.numpy()})
    torch.testing.assert_close(raw, expected, atol=1e-6, rtol=0)
    assert session.schema == DIGITS
