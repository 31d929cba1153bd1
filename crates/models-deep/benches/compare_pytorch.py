"""Trains forecastle-models-deep and PyTorch on the same file, taking turns, and prints the ratios.

    python3 -m venv venv && venv/bin/pip install numpy safetensors torch==2.13.0
    cargo build --release -p forecastle-models-deep --example training_file
    venv/bin/python crates/models-deep/benches/compare_pytorch.py target/release/examples/training_file

Built with `--features tch`, the program trains on libtorch too: add `--libtorch`.

GRU with 64 units; Transformer of width 64, 4 heads, 2 layers, 128 inside: 2,000 windows of 32 bars
with 26 features, in batches of 64. Autoencoder 26-64-8-64-26: 20,000 rows in batches of 256, as small
ones would time little but PyTorch's way through Python. Batches follow the order of time; AdamW,
gradients clipped at 1; all begin with the same weights, so their losses must agree. A run's time is
the median of its epochs without the first, and the least run counts. Each run is a process of its own,
whose largest resident memory is shown. On a machine with other work compare the CPU seconds of one
thread; with several, waiting OpenMP threads burn time there.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

LOOKBACK, WIDTH = 32, 26
MODELS = ["gru", "transformer", "autoencoder"]


def make_model(name):
    import torch
    from torch import nn

    class Gru(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(WIDTH, 64, 1, batch_first=True)
            self.head = nn.Linear(64, 1)

        def forward(self, x):
            return self.head(self.gru(x)[0][:, -1])

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.Linear(WIDTH, 64)
            self.position = nn.Embedding(LOOKBACK, 64)
            layer = nn.TransformerEncoderLayer(
                64, 4, 128, 0.0, activation="relu", batch_first=True, norm_first=True
            )
            norm = nn.LayerNorm(64)
            self.encoder = nn.TransformerEncoder(layer, 2, norm=norm, enable_nested_tensor=False)
            self.head = nn.Linear(64, 1)

        def forward(self, x):
            return self.head(self.encoder(self.input(x) + self.position.weight)[:, -1])

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 8))
            self.decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, WIDTH))

        def forward(self, x):
            return self.decoder(self.encoder(x))

    torch.manual_seed(1)
    return {"gru": Gru, "transformer": Transformer, "autoencoder": Autoencoder}[name]()


def make_file(name, path):
    """Bars, targets and start weights; features and targets have mean 0 and deviation 1 already."""
    from safetensors.numpy import save_file

    rows = 20_000 if name == "autoencoder" else 2_000 + LOOKBACK - 1
    random = np.random.default_rng(42)
    # Features that move together, so that an autoencoder has something to find.
    x = random.standard_normal((rows, 10)) @ random.standard_normal((10, WIDTH))
    x += 0.5 * random.standard_normal((rows, WIDTH))
    learnt = slice(0, rows) if name == "autoencoder" else slice(LOOKBACK - 1, rows)
    x = (x - x[learnt].mean(0)) / x[learnt].std(0)
    y = np.tanh(x[:, 0]) + 0.5 * x[:, 1] * np.roll(x[:, 2], 3) + random.standard_normal(rows)
    y = (y - y[learnt].mean()) / y[learnt].std()
    tensors = {"records": x.astype(np.float32), "targets": y.astype(np.float32)}
    save_file(tensors, path)
    weights = make_model(name).state_dict()
    save_file({name: tensor.numpy() for name, tensor in weights.items()}, path + ".start")


def train_with_pytorch(name, path, threads, epochs):
    import torch
    from safetensors.torch import load_file
    from torch import nn

    torch.set_num_threads(threads)
    tensors = load_file(path)
    x, y = tensors["records"].clamp(-5, 5), tensors["targets"][:, None]
    model = make_model(name)
    model.load_state_dict(load_file(path + ".start"))
    if name == "autoencoder":
        y = x
    else:
        # (windows, lookback, features), made beforehand: ours gathers windows batch by batch.
        x = x.unfold(0, LOOKBACK, 1).transpose(1, 2).contiguous()
        y = y[LOOKBACK - 1 :]
    batch = 256 if name == "autoencoder" else 64
    # Its fastest AdamW on a processor.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    times, cpu, losses = [], [], []
    for _ in range(epochs):
        start, begun, total = time.perf_counter(), time.process_time(), 0.0
        for i in range(0, len(x), batch):
            rows = slice(i, i + batch)
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(x[rows])
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - begun)
        losses.append(total / len(x))
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    found = {"epoch_s": times[1:], "epoch_cpu_s": cpu[1:], "losses": losses}
    print(json.dumps({**found, "peak_mb": int(peak.split()[1]) / 1024}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--libtorch", action="store_true")
    arguments = parser.parse_args()
    backends = ["ours", "pytorch"] + (["libtorch"] if arguments.libtorch else [])
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models.split(","):
            path = str(pathlib.Path(folder) / f"{name}.safetensors")
            make_file(name, path)
            runs = {}
            for _ in range(arguments.rounds):
                for threads in arguments.threads.split(","):
                    for backend in backends:
                        tail = [name, path, threads, str(arguments.epochs)]
                        if backend == "pytorch":
                            command = [sys.executable, __file__, "--child", *tail]
                        else:
                            command = [arguments.binary, backend, *tail]
                        done = subprocess.run(command, check=True, capture_output=True, text=True)
                        runs.setdefault((threads, backend), []).append(json.loads(done.stdout))
            report(name, runs, backends)


def report(name, runs, backends):
    median = lambda run, key: sorted(run[key])[len(run[key]) // 2]
    for threads in sorted({key[0] for key in runs}):
        least = lambda backend, key: min(median(run, key) for run in runs[threads, backend])
        for backend in backends:
            found, theirs = runs[threads, backend], runs[threads, "pytorch"]
            wall, cpu = (least(backend, key) for key in ["epoch_s", "epoch_cpu_s"])
            pairs = [median(a, "epoch_s") / median(b, "epoch_s") for a, b in zip(found, theirs)]
            print(
                f"{name:12} {threads} threads  {backend:9} {wall:.4f} s/epoch  "
                f"ratio {wall / least('pytorch', 'epoch_s'):.2f} "
                f"(pairs {min(pairs):.2f} to {max(pairs):.2f})  "
                f"CPU {cpu:.4f} s, ratio {cpu / least('pytorch', 'epoch_cpu_s'):.2f}  "
                f"peak {max(run['peak_mb'] for run in found):.0f} MB  "
                f"losses {found[0]['losses'][0]:.6f} to {found[0]['losses'][-1]:.6f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        train_with_pytorch(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
