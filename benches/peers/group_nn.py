"""Networks against PyTorch on the CPU: operations forward and backward, training steps, peak memory.

Both sides hold the same inputs and start from the same weights. The result that is compared is the mean
square of the output (forward) or of a gradient (backward), or the loss of the third step.
"""
import os
import subprocess
import sys
import time

import numpy as np

from common import Workload
from compare import HERE, THREADS, Absent

BATCH = 64
PYTORCH = "PyTorch"


def torch():
    try:
        import torch
    except ImportError as why:
        raise Absent(str(why)) from why
    torch.set_num_threads(int(THREADS))
    return torch


def save(folder, name, **arrays):
    folder.mkdir(parents=True, exist_ok=True)
    for array, values in arrays.items():
        np.save(folder / f"{name}.{array}.npy", np.ascontiguousarray(values, np.float32))


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def workload(folder, key, title, peer, limit, tolerance=1e-4):
    job = {"work": "nn", "row": key, "folder": str(folder)}
    return Workload(key, title, job, {PYTORCH: peer}, limit, less_is_better=None, tolerance=tolerance)


def operation(key, title, limit, backward, run, compared=None, **arrays):
    """`run(torch, inputs)`; the inputs that `arrays` names, made by functions.

    Backward it is the gradient of the sum of the result; x is as in a network the result of another operation, a cheap one: a shift of each channel, whose
    gradient is the one compared, or what `compared(torch, inputs)` says.
    """

    def make(folder, data):
        t = torch()
        made = {name: values() for name, values in arrays.items()}
        save(folder, key, **made)
        inputs = {name: t.from_numpy(values).requires_grad_(backward and name != "x") for name, values in made.items()}
        x = inputs["x"]
        shift = t.zeros(x.shape[1], requires_grad=True)
        instead = compared(t, inputs) if compared else None

        def peer():
            if not backward:
                with t.inference_mode():
                    start = time.perf_counter()
                    y = run(t, inputs)
                    return time.perf_counter() - start, float(y.square().mean())
            for leaf in [shift, *inputs.values()]:
                leaf.grad = None
            y = run(t, {**inputs, "x": x + shift.view(1, -1, *[1] * (x.dim() - 2))}).sum()
            start = time.perf_counter()
            y.backward()
            return time.perf_counter() - start, instead or float(shift.grad.square().mean())

        return workload(folder, key, title, peer, limit)

    make.title = title
    return make


def conv(inputs, outputs, side, backward):
    key = f"conv_{inputs}_{outputs}_{'bwd' if backward else 'fwd'}"
    title = f"conv 3×3 {inputs}→{outputs} at {side}², {'backward' if backward else 'forward'}"

    return operation(key, title, "FMA peak", backward, lambda t, a: t.nn.functional.conv2d(a["x"], a["weight"], padding=1), x=lambda: normals(BATCH, inputs, side, side),
                     weight=lambda: normals(outputs, inputs, 3, 3, seed=1) * np.float32((2 / inputs / 9) ** 0.5))


def batch_norm(t, a):
    channels = a["x"].shape[1]
    gamma, beta = t.ones(channels, requires_grad=True), t.zeros(channels, requires_grad=True)
    return t.nn.functional.batch_norm(a["x"], None, None, gamma, beta, training=True)


def batch_norm_relu(t, a):
    return t.relu(batch_norm(t, a))


def of_squares(run):
    """A shift of a channel changes nothing after batch norm: what is compared is the gradient of Σ y·x² in x."""

    def compared(t, a):
        x = a["x"].clone().requires_grad_()
        (run(t, {"x": x}) * a["x"].square()).sum().backward()
        return float(x.grad.square().mean())

    return compared


def step(key, title, limit, build):
    """`build(torch, folder)` returns a function that makes one training step and returns its loss."""

    def make(folder, data):
        t = torch()
        t.manual_seed(0)
        run = build(t, folder, key)
        for _ in range(3):
            loss = run()

        def peer():
            start = time.perf_counter()
            run()
            return time.perf_counter() - start, loss

        return workload(folder, key, title, peer, limit, tolerance=2e-3)

    make.title = title
    return make


def update(optimizer, loss):
    """One step of the optimizer. Returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss)


def weights(t, *modules):
    return t.cat([p.detach().flatten() for module in modules for p in module.parameters()]).numpy()


def resnet18(t, folder, key):
    nn, F = t.nn, t.nn.functional

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.shortcut = None
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)

        def forward(self, x):
            y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
            return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    layers, width = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for stage, outputs in enumerate([64, 128, 256, 512]):
        for block in range(2):
            layers.append(Block(width, outputs, 2 if stage and not block else 1))
            width = outputs
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    x, labels = normals(BATCH, 3, 32, 32), np.arange(BATCH) % 10
    save(folder, key, x=x, labels=labels, weights=weights(t, net))
    x, labels = t.from_numpy(x), t.from_numpy(labels)
    optimizer = t.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def run():
        loss = F.cross_entropy(net(x), labels)
        return update(optimizer, loss)

    return run


def mlp(t, *widths):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers += [t.nn.Linear(a, b)] + ([t.nn.ReLU()] if i + 2 < len(widths) else [])
    return t.nn.Sequential(*layers)


def dense_autoencoder(t, folder, key):
    net = mlp(t, 784, 512, 256, 32, 256, 512, 784)
    x = np.random.default_rng(0).random((128, 784), np.float32)
    save(folder, key, x=x, weights=weights(t, net))
    x = t.from_numpy(x)
    optimizer = t.optim.AdamW(net.parameters(), lr=1e-3)

    def run():
        loss = t.nn.functional.mse_loss(net(x), x)
        return update(optimizer, loss)

    return run


def vae(t, folder, key):
    encoder, decoder = mlp(t, 784, 400, 40), mlp(t, 20, 400, 784)
    x, noise = np.random.default_rng(0).random((128, 784), np.float32), normals(128, 20)
    save(folder, key, x=x, noise=noise, weights=weights(t, encoder, decoder))
    x, noise = t.from_numpy(x), t.from_numpy(noise)
    optimizer = t.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    def run():
        mean, log_variance = encoder(x).chunk(2, 1)
        output = decoder(mean + (0.5 * log_variance).exp() * noise)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        reconstruction = t.nn.functional.binary_cross_entropy_with_logits(output, x, reduction="none").sum(1)
        loss = (reconstruction + kl).mean()
        return update(optimizer, loss)

    return run


def dcgan(t, folder, key):
    nn = t.nn
    widths = [256, 128, 64, 1]
    up, down = [], []
    for i, (a, b) in enumerate(zip([64] + widths, widths)):
        up.append(nn.ConvTranspose2d(a, b, 4, *((1, 0) if i == 0 else (2, 1)), bias=False))
        up += [nn.BatchNorm2d(b), nn.ReLU()] if b > 1 else [nn.Tanh()]
    for i, (a, b) in enumerate(zip(widths[::-1], widths[-2::-1] + [1])):
        down.append(nn.Conv2d(a, b, 4, *((1, 0) if i == 3 else (2, 1)), bias=False))
        down += [nn.BatchNorm2d(b)] if 0 < i < 3 else []
        down += [nn.LeakyReLU(0.2)] if i < 3 else []
    generator, discriminator = nn.Sequential(*up), nn.Sequential(*down)
    for parameter in [*generator.parameters(), *discriminator.parameters()]:
        if parameter.dim() == 4:
            nn.init.normal_(parameter, 0, 0.02)
    x, noise = np.tanh(normals(BATCH, 1, 32, 32)), normals(BATCH, 64)
    save(folder, key, x=x, noise=noise, generator=weights(t, generator), discriminator=weights(t, discriminator))
    x, noise = t.from_numpy(x), t.from_numpy(noise).reshape(BATCH, 64, 1, 1)
    ones, zeros = t.ones(BATCH), t.zeros(BATCH)
    first, second = [t.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in [generator, discriminator]]
    bce = nn.functional.binary_cross_entropy_with_logits

    def run():
        fake = generator(noise)
        loss = bce(discriminator(x).flatten(), ones) + bce(discriminator(fake.detach()).flatten(), zeros)
        loss = update(second, loss)
        return loss + update(first, bce(discriminator(fake).flatten(), ones))

    return run


def resident():
    """Bytes of the process now, and at most since the last call."""
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    found = [int(status[name].split()[0]) * 1024 for name in ["VmRSS", "VmHWM"]]
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    return found


def memory(folder, data):
    title = "peak memory of the ResNet-18 step, bytes"
    torch()  # here at all?

    def peer():
        # a process of its own, with the allocator as it is: what it keeps for later is not counted against it
        own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        found = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, env={**own, "PYTHONPATH": str(HERE)})
        if found.returncode:
            raise Absent(found.stderr.strip().splitlines()[-1])
        return float(found.stdout), 1.0

    return Workload("resnet18_memory", title, {"work": "memory", "folder": str(folder)}, {PYTORCH: peer}, "memory")


memory.title = "peak memory of the ResNet-18 step"

WORKLOADS = [
    step("resnet18_step", "ResNet-18 (CIFAR stem) training step, batch 64", "FMA peak", resnet18),
    memory,
    *[conv(*shape, backward) for shape in [(32, 64, 28), (64, 128, 32)] for backward in [False, True]],
    step("dcgan_step", "DCGAN step of generator and discriminator, 64…1 at 32², batch 64", "FMA peak", dcgan),
    step("dense_ae_step", "autoencoder 784-512-256-32 step, AdamW, batch 128", "memory bandwidth", dense_autoencoder),
    step("vae_step", "VAE 784-400-20 step, AdamW, batch 128", "memory bandwidth", vae),
    operation("batch_norm_bwd", "batch norm 64×64×28², backward", "memory bandwidth", True, batch_norm, of_squares(batch_norm),
              x=lambda: normals(BATCH, 64, 28, 28)),
    operation("batch_norm_relu_bwd", "batch norm and ReLU 64×64×28², backward", "memory bandwidth", True, batch_norm_relu,
              of_squares(batch_norm_relu), x=lambda: normals(BATCH, 64, 28, 28)),
    operation("max_pool_bwd", "max pool 2×2 of 64×64×32², backward", "memory bandwidth", True,
              lambda t, a: t.nn.functional.max_pool2d(a["x"], 2), x=lambda: normals(BATCH, 64, 32, 32)),
    operation("avg_pool_bwd", "average pool 2×2 of 64×64×32², backward", "memory bandwidth", True,
              lambda t, a: t.nn.functional.avg_pool2d(a["x"], 2), x=lambda: normals(BATCH, 64, 32, 32)),
    operation("log_softmax_bwd", "log-softmax 4096×1000, backward", "memory bandwidth", True,
              lambda t, a: t.log_softmax(a["x"], 1), x=lambda: normals(4096, 1000)),
]

if __name__ == "__main__":
    import pathlib

    t = torch()
    t.manual_seed(0)
    before, _ = resident()
    run = resnet18(t, pathlib.Path(sys.argv[1]), "resnet18_step")
    for _ in range(3):
        run()
    print(resident()[1] - before)
