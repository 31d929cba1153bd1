"""Makes the numbers that both backends are held against: PyTorch's own models, trained three steps.

    python3 -m venv venv && venv/bin/pip install numpy safetensors torch==2.13.0
    venv/bin/python crates/models-deep/tests/data/make_fixtures.py

Writes gru.safetensors, transformer.safetensors and autoencoder.safetensors beside itself; one
thread, fixed seeds. Each file holds several cases, described as JSON in its metadata under "made".
Names of tensors, N the number of the case, S the step from 0:

    N/records    (n_bars, n_features), float32
    N/targets    (n_bars,), not for the autoencoder
    N/weights    (n_bars,), a weight a bar; in some cases
    N/rows/S     (batch,), int64: the bars whose windows make the batch
    N/loss/S     (1,), the batch's loss before the step
    N/outputs    what the model gives for every bar before training: (n_bars,), or (n_bars, n_features)
    N/latents    (n_bars, n_latents), the autoencoder's, before training
    N/start/*    the weights before training, under PyTorch's names
    N/step/S/*   the weights after the step

A window is the last `lookback` bars up to and with its own; before the first bar it repeats that.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

STEPS = 3
LEARNING_RATE, WEIGHT_DECAY, CLIP = 1e-2, 0.01, 1.0
# A bias of all keys changes no attention: its gradient is rounding noise of about 1e-9, which AdamW
# with its usual epsilon of 1e-8 would blow up to steps of a visible size and any direction.
EPSILON = {"Gru": 1e-8, "Transformer": 1e-5, "Autoencoder": 1e-8}


class Gru(nn.Module):
    def __init__(self, n_features, hidden, n_layers, **_):
        super().__init__()
        self.gru = nn.GRU(n_features, hidden, n_layers, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])[:, 0]


class Transformer(nn.Module):
    def __init__(self, n_features, width, heads, n_layers, feed_forward, activation, lookback, **_):
        super().__init__()
        self.input = nn.Linear(n_features, width)
        self.position = nn.Embedding(lookback, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, feed_forward, 0.0, activation=activation, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, n_layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, 1)
        # All layers begin as copies of one, with biases of 0 and scales of 1: mistakes would hide.
        with torch.no_grad():
            for name, weight in self.encoder.named_parameters():
                weight += 0.1 * torch.randn_like(weight)

    def forward(self, x):
        return self.head(self.encoder(self.input(x) + self.position.weight)[:, -1])[:, 0]


class Autoencoder(nn.Module):
    def __init__(self, n_features, hidden, n_latents, activation, **_):
        super().__init__()
        make = {"tanh": nn.Tanh, "relu": nn.ReLU, "identity": nn.Identity}[activation]

        def stack(widths):
            parts = []
            for wide, narrow in zip(widths, widths[1:]):
                parts += [nn.Linear(wide, narrow), make()]
            return nn.Sequential(*parts[:-1])

        self.encoder = stack([n_features, *hidden, n_latents])
        self.decoder = stack([n_latents, *reversed(hidden), n_features])

    def forward(self, x):
        return self.decoder(self.encoder(x[:, -1]))


CASES = {
    Gru: [
        dict(n_features=3, hidden=4, n_layers=1, lookback=1, batch=2),
        dict(n_features=5, hidden=8, n_layers=1, lookback=7, batch=5, weighted=True),
        dict(n_features=2, hidden=5, n_layers=2, lookback=5, batch=3),
        dict(n_features=26, hidden=16, n_layers=1, lookback=32, batch=8),
        dict(n_features=7, hidden=12, n_layers=2, lookback=12, batch=9),
    ],
    Transformer: [
        dict(n_features=3, width=4, heads=1, n_layers=1, feed_forward=8, activation="relu", lookback=1, batch=2),
        dict(n_features=5, width=8, heads=2, n_layers=2, feed_forward=16, activation="gelu", lookback=5, batch=3),
        dict(n_features=4, width=8, heads=4, n_layers=3, feed_forward=12, activation="relu", lookback=5, batch=6, weighted=True),
        dict(n_features=26, width=16, heads=4, n_layers=1, feed_forward=24, activation="gelu", lookback=32, batch=4),
        dict(n_features=6, width=12, heads=1, n_layers=2, feed_forward=20, activation="relu", lookback=32, batch=7),
    ],
    Autoencoder: [
        dict(n_features=4, hidden=[], n_latents=2, activation="identity", batch=6),
        dict(n_features=6, hidden=[5], n_latents=3, activation="tanh", batch=7, weighted=True),
        dict(n_features=26, hidden=[16], n_latents=8, activation="relu", batch=16),
        dict(n_features=5, hidden=[8, 6], n_latents=2, activation="tanh", batch=4),
        dict(n_features=7, hidden=[6], n_latents=2, activation="identity", batch=5),
    ],
}


def make_case(kind, case, prefix, tensors):
    lookback = case.setdefault("lookback", 1)
    n_bars = lookback + 3 * case["batch"]
    model = kind(**case)
    records = torch.randn(n_bars, case["n_features"])
    targets = records[:, 0] * 0.5 + 0.3 * torch.randn(n_bars)
    weights = torch.rand(n_bars) + 0.2 if case.pop("weighted", False) else torch.ones(n_bars)
    if not (weights == 1).all():
        tensors[f"{prefix}weights"] = weights
    tensors[f"{prefix}records"] = records
    if kind is not Autoencoder:
        tensors[f"{prefix}targets"] = targets

    def windows(rows):
        back = torch.arange(lookback - 1, -1, -1)
        return records[(rows[:, None] - back).clamp(min=0)]

    def keep(name):
        for key, value in model.state_dict().items():
            tensors[f"{prefix}{name}/{key}"] = value.clone()

    keep("start")
    everything = torch.arange(n_bars)
    with torch.no_grad():
        tensors[f"{prefix}outputs"] = model(windows(everything))
        if kind is Autoencoder:
            tensors[f"{prefix}latents"] = model.encoder(records)
    optimizer = torch.optim.AdamW(
        model.parameters(), LEARNING_RATE, eps=EPSILON[kind.__name__], weight_decay=WEIGHT_DECAY
    )
    for step in range(STEPS):
        rows = torch.randperm(n_bars)[: case["batch"]]
        answers = records[rows] if kind is Autoencoder else targets[rows]
        errors = (model(windows(rows)) - answers) ** 2
        errors = errors.reshape(len(rows), -1).mean(1)
        loss = (weights[rows] * errors).sum() / weights[rows].sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        tensors[f"{prefix}rows/{step}"] = rows
        tensors[f"{prefix}loss/{step}"] = loss.detach().reshape(1)
        keep(f"step/{step}")


torch.set_num_threads(1)
for number, (kind, cases) in enumerate(CASES.items()):
    torch.manual_seed(20 + number)
    tensors = {}
    for i, case in enumerate(cases):
        make_case(kind, case, f"{i}/", tensors)
    path = pathlib.Path(__file__).parent / f"{kind.__name__.lower()}.safetensors"
    settings = dict(
        learning_rate=LEARNING_RATE, epsilon=EPSILON[kind.__name__], weight_decay=WEIGHT_DECAY, gradient_clip=CLIP
    )
    save_file(
        {name: np.ascontiguousarray(t.numpy()) for name, t in tensors.items()},
        path,
        # One entry: several would come in any order.
        {"made": json.dumps(dict(torch=torch.__version__, training=settings, cases=cases))},
    )
    print(path.name, path.stat().st_size, "bytes")
