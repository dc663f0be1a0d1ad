"""Training and prediction of an ensemble of bags on one thread: batched, against its members one after the other.

18 members of gated attention, 160 bags x 48 instances x 128 features, hidden 128; CPU seconds (user and system).

Training. Both sides have the same members (rows, starting weights, stopping rows), loss and patience. After every epoch
each member's least stopping loss so far is averaged over the members, those that have stopped with what they stopped
at. The target is the lowest such mean at which the loop ends, over its batch sizes, plus 1 %. Seconds to the loss are
those of the epochs up to the first that meets it, stopping losses included, of all members: the loop is taken as if it
knew for each member when the whole would be there. The rates of both sides were chosen on data seeds 0 and 10; the
figures are of seeds 1 to 3, which an earlier schedule of ours had been run on before.

Prediction. The arithmetic limit is the time of the network's matrix products alone, at the rate of float32 products of
the same shapes (each member's instances by its weights), measured right before and after each prediction.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import RESULTS, finish, options
from studies import locality_bags

INSTANCES, FEATURES, HIDDEN, GATE, LOCALITY = 48, 128, 128, 64, 0.1
LOOP_RATES = {8: 3e-4, 32: 1e-3, 128: 3e-3}
"""Batch sizes of the loop, and for each the best of three to six rates tried between 2e-4 and 1e-2."""
OURS: dict[str, Any] = {"batch": 64, "rate": 3e-3, "warmup": 10}
PATIENCE = 40
EPOCHS = 200


@dataclass
class Watch:
    """Early stopping of one member, with CPU seconds and least loss after each of its epochs."""

    patience: int
    best: float = float("inf")
    since: int = 0
    history: list[tuple[float, float]] = field(default_factory=list)

    def note(self, seconds: float, loss: float) -> bool:
        self.best, self.since = (loss, 0) if loss < self.best else (self.best, self.since + 1)
        self.history.append((seconds, self.best))
        return self.since < self.patience


@dataclass
class Run:
    """Seconds and mean least loss of all members after every epoch."""

    seconds: list[float]
    loss: list[float]

    def to(self, target: float) -> float | None:
        """Seconds to a loss; None if it was not reached."""
        return next((s for s, loss in zip(self.seconds, self.loss, strict=True) if loss <= target), None)


def problem(seed: int, bags: int, folds: int, per_fold: int) -> tuple[Any, ...]:
    """The recipe's own members, data and scales, for the training of either side."""
    import torch

    from surrogates.bags import Bags
    from surrogates.ensemble import NEVER, STOPPING_SHARE, as_numbers
    from surrogates.recipes.gated import GatedNetwork
    from surrogates.splits import assign_folds, generator, hold_back
    from surrogates.training import Member

    x, _, y = locality_bags(bags, INSTANCES, LOCALITY, seed, n_features=FEATURES)
    network = GatedNetwork(FEATURES, 0, 1, HIDDEN, True, "quantiles", GATE)
    groups = tuple(map(str, range(bags)))
    fold = assign_folds(groups, seed, count=folds)
    members, scales = [], {name: [] for name in ("features_mean", "features_sd", "side_mean", "side_sd")}
    targets = []
    for left_out in [*range(folds), NEVER]:
        seen = (fold != left_out).nonzero().flatten()
        for member in range(per_fold):
            key = (seed, left_out, member)
            members.append(Member(key, *hold_back(groups, seen, STOPPING_SHARE, generator("stop", key))))
            scales["features_mean"].append(x[seen].mean((0, 1)))
            scales["features_sd"].append(x[seen].std((0, 1)))
            scales["side_mean"].append(torch.zeros(0))
            scales["side_sd"].append(torch.ones(0))
            targets.append(((y - y[seen].mean()) / y[seen].std()).unsqueeze(-1))
    constants = {name: torch.stack(tensors) for name, tensors in scales.items()}
    data = as_numbers(network.inputs(Bags.of(x)), torch.float32)
    return network, data, torch.stack(targets), members, constants


def one_by_one(task: tuple[Any, ...], patience: int, batch: int, rate: float, warmup: int = 0) -> Run:
    """Members as plain modules with torch's fused AdamW, one after the other."""
    import torch
    from torch import nn

    from surrogates.networks.heads import HEADS
    from surrogates.splits import generator

    class Gated(nn.Module):
        def __init__(self, start: dict[str, Any]) -> None:
            super().__init__()
            self.encode, self.mix = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
            self.V, self.U = (nn.Linear(HIDDEN, GATE, bias=False) for _ in range(2))
            self.w, self.head = nn.Linear(GATE, 1, bias=False), nn.Linear(HIDDEN, 9)
            with torch.no_grad():
                for name, layer in self.named_children():
                    layer.weight.copy_(start[name].T)
                    if layer.bias is not None:
                        layer.bias.copy_(start[f"{name}_bias"])

        def forward(self, x: Any) -> Any:
            h = nn.functional.silu(self.encode(x))
            attention = torch.softmax(self.w(torch.tanh(self.V(h)) * torch.sigmoid(self.U(h))), dim=1)
            pooled = torch.bmm(attention.mT, h).squeeze(1)
            return HEADS["quantiles"].predict(self.head(nn.functional.silu(self.mix(pooled))).unsqueeze(1))

    network, data, targets, members, scales = task
    watches, head = [], HEADS["quantiles"]
    for i, member in enumerate(members):
        begun, watch = time.process_time(), Watch(patience)
        rng = generator("member", member.seed)
        model = Gated(network.start(rng))
        optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2, fused=True)
        x = (data[0] - scales["features_mean"][i]) / scales["features_sd"][i]
        y = targets[i]
        steps = 0
        for epoch in range(EPOCHS):
            order = member.train[torch.randperm(len(member.train), generator=rng)]
            for rows in order.split(batch):
                steps += 1
                optimiser.param_groups[0]["lr"] = cosine(rate, epoch) * min(1, steps / max(1, warmup))
                optimiser.zero_grad()
                head.loss(model(x[rows]), y[rows]).mean().backward()
                optimiser.step()
            with torch.no_grad():
                loss = float(head.loss(model(x[member.stop]), y[member.stop]).mean())
            if not watch.note(time.process_time() - begun, loss):
                break
        watches.append(watch)
    longest = max(len(watch.history) for watch in watches)
    padded = [watch.history + [watch.history[-1]] * (longest - len(watch.history)) for watch in watches]
    epochs_of_all = list(zip(*padded, strict=True))
    return Run([sum(s for s, _ in e) for e in epochs_of_all], [statistics.mean(b for _, b in e) for e in epochs_of_all])


def cosine(rate: float, epoch: int) -> float:
    """The rate of an epoch, as `surrogates.training` has it."""
    import math

    return rate * 0.5 * (1 + math.cos(math.pi * epoch / EPOCHS))


def batched(task: tuple[Any, ...], patience: int, batch: int, rate: float, warmup: int = 0) -> Run:
    """All members by `surrogates.training.train`; stopping losses are overheard, early stopping is its own."""
    import torch

    from surrogates.networks.heads import HEADS
    from surrogates.training import Schedule, train

    network, data, targets, members, scales = task
    heard: list[Any] = []
    watches = [Watch(patience) for _ in members]
    live = sorted(range(len(members)), key=lambda i: len(members[i].train))
    run, begun = Run([], []), time.process_time()

    def loss(prediction: Any, value: Any) -> Any:
        each = HEADS["quantiles"].loss(prediction, value).mean(-1)
        if not torch.is_grad_enabled():
            heard.extend(each)
        return each

    def progress(_epoch: int, _epochs: int, left: int) -> None:
        nonlocal live
        spent = time.process_time() - begun
        losses = [float(e[: len(members[i].stop)].mean()) for i, e in zip(live, heard, strict=True)]
        going = [i for i, loss in zip(live, losses, strict=True) if watches[i].note(0.0, loss)]
        assert len(going) == left, "early stopping is not the same"
        live = going
        heard.clear()
        run.seconds.append(spent)
        run.loss.append(statistics.mean(watch.best for watch in watches))

    schedule = Schedule(EPOCHS, batch, rate, 1e-2, patience, warmup)
    train(network, data, targets, members, scales, loss, schedule, progress=progress)
    return run


def training(seed: int, quick: bool) -> dict[str, Any]:
    """Both sides, one after the other."""
    task = problem(seed, 160, *((2, 2) if quick else (5, 3)))
    patience = PATIENCE // 4 if quick else PATIENCE
    sizes = {b: r for b, r in LOOP_RATES.items() if b > 8} if quick else LOOP_RATES
    best = {f"loop, batch {b}": one_by_one(task, patience, b, r) for b, r in sizes.items()}
    best["batched"] = batched(task, patience, **OURS)
    best["loop, our schedule"] = one_by_one(task, patience, **OURS)
    plain = {name: run for name, run in best.items() if name.startswith("loop, batch")}
    target = 1.01 * min(run.loss[-1] for run in plain.values())
    found: dict[str, dict[str, Any]] = {
        name: {
            "seconds_to_loss": run.to(target),
            "seconds_in_all": run.seconds[-1],
            "epochs": len(run.loss),
            "least_loss": run.loss[-1],
        }
        for name, run in best.items()
    }
    reached = [found[name] for name in plain if found[name]["seconds_to_loss"] is not None]
    loop = min(reached, key=lambda f: f["seconds_to_loss"])
    return {
        "seed": seed,
        "members": len(task[3]),
        "target": target,
        "runs": found,
        "ratio": over(found["batched"], loop, "seconds_to_loss"),
        "ratio_in_all": over(found["batched"], loop, "seconds_in_all"),
        "ratio_same_schedule": over(found["batched"], found["loop, our schedule"], "seconds_in_all"),
        "curves": {name: {"seconds": run.seconds, "loss": run.loss} for name, run in best.items()},
    }


def over(ours: dict[str, Any], theirs: dict[str, Any], name: str) -> float | None:
    """Ratio of seconds, None where either has none."""
    return ours[name] / theirs[name] if ours[name] is not None and theirs[name] is not None else None


def told(number: float | None, form: str) -> str:
    return "never" if number is None else format(number, form)


def prediction(quick: bool) -> dict[str, Any]:
    """18 members over 20,000 bags, in parts, each beside the matrix rate of the moment."""
    import torch

    from surrogates.bags import Bags
    from surrogates.ensemble import Ensemble
    from surrogates.recipes.base import Problem
    from surrogates.splits import generator

    network, data, _, members, scales = problem(0, 160, 5, 3)
    starts = [network.start(generator("member", member.seed)) for member in members]
    weights = {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
    double = {name: tensor.double() for name, tensor in scales.items()}
    value = {"value_mean": torch.zeros(len(members), 1).double(), "value_sd": torch.ones(len(members), 1).double()}
    few = Problem(Bags.of(data[0]), torch.zeros(160, 1).double(), None, tuple("a" * 160), torch.zeros(160).long())
    fold = {"member_fold": torch.zeros(len(members)).long()}
    ensemble = Ensemble(network, {**weights, **double, **value, **fold}, few)
    parts, size = (4, 300) if quick else (20, 1000)
    count, everyone = len(members), torch.arange(len(members))
    work = 2 * count * size * (INSTANCES * (FEATURES * HIDDEN + 2 * HIDDEN * GATE + GATE) + HIDDEN * (HIDDEN + 9))
    rows = 16 * INSTANCES
    left, right = torch.randn(count, rows, HIDDEN), torch.randn(count, HIDDEN, HIDDEN)
    out, square = torch.empty_like(left), torch.randn(1024, 1024)

    def rate(product: Callable[[], Any], flops: float) -> float:
        begun = time.process_time()
        for _ in range(4):
            product()
        return 4 * flops / (time.process_time() - begun)

    def shaped() -> float:
        return rate(lambda: torch.bmm(left, right, out=out), 2 * count * rows * HIDDEN * HIDDEN)

    seconds, ratios, rates, peaks, errors, coarse_seconds = [], [], [], [], [], []
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    coarse = any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))
    with torch.no_grad():
        ensemble.member_predictions(few.bags, everyone)
        for part in range(parts):
            x, _, _ = locality_bags(size, INSTANCES, LOCALITY, 100 + part, n_features=FEATURES)
            bags = Bags.of(x)
            before = shaped()
            begun = time.process_time()
            exact = ensemble.member_predictions(bags, everyone)
            seconds.append(time.process_time() - begun)
            rates.append((before + shaped()) / 2)
            ratios.append(seconds[-1] * rates[-1] / work)
            peaks.append(rate(lambda: square @ square, 2 * 1024**3))
            if coarse:
                begun = time.process_time()
                rounded = ensemble.member_predictions(bags.to(torch.bfloat16), everyone)
                coarse_seconds.append(time.process_time() - begun)
                errors.append(float((rounded - exact).abs().mean() / exact.std()))
    scale = 20000 / size
    return {
        "bags": 20000,
        "measured_bags": parts * size,
        "gflops": statistics.median(rates) / 1e9,
        "gflops_square": statistics.median(peaks) / 1e9,
        "limit_seconds": scale * work / statistics.median(rates),
        "seconds": scale * statistics.median(seconds),
        "ratio": statistics.median(ratios),
        "ratio_square": statistics.median(s * p / work for s, p in zip(seconds, peaks, strict=True)),
        "bfloat16_seconds": scale * statistics.median(coarse_seconds) if coarse else None,
        "bfloat16_error": statistics.mean(errors) if coarse else None,
    }


def main() -> None:
    arguments: argparse.Namespace = options(__doc__ or "")
    import torch

    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)])  # torch imports its compiler with the first optimiser: not the loop's cost
    predicted = prediction(arguments.quick)
    trained = [training(seed, arguments.quick) for seed in ((1,) if arguments.quick else (1, 2, 3))]
    found = {"prediction": predicted, "training": [{k: v for k, v in t.items() if k != "curves"} for t in trained]}
    lines = []
    for one in trained:
        lines.append(f"training, data seed {one['seed']}, {one['members']} members, target loss {one['target']:.4f}")
        lines.append(f"  {'':26}{'CPU s to it':>12}{'in all':>9}{'epochs':>8}{'least loss':>12}")
        for name, r in one["runs"].items():
            cells = f"{r['seconds_in_all']:>9.1f}{r['epochs']:>8}{r['least_loss']:>12.4f}"
            lines.append(f"  {name:26}{told(r['seconds_to_loss'], '.1f'):>12}{cells}")
        lines.append(
            f"  batched / loop at its best batch size: {told(one['ratio'], '.2f')} to the loss, "
            f"{one['ratio_in_all']:.2f} in all; {one['ratio_same_schedule']:.2f} of a loop with our schedule, in all"
        )
    lines.append(f"  ratios to the loss: {', '.join(told(one['ratio'], '.2f') for one in trained)} (bar 0.5)")
    p = predicted
    lines.append(
        f"prediction, 18 members over 20,000 bags (from {p['measured_bags']:,}): {p['seconds']:.1f} CPU s; limit "
        f"{p['limit_seconds']:.1f} s at {p['gflops']:.0f} GFLOP/s; ratio {p['ratio']:.2f} (bar 1.5); "
        f"{p['ratio_square']:.2f} at the {p['gflops_square']:.0f} GFLOP/s of a square product"
    )
    if p["bfloat16_seconds"] is None:
        lines.append("bfloat16: not on this processor")
    else:
        lines.append(f"bfloat16: {p['bfloat16_seconds']:.1f} CPU s, mean error {p['bfloat16_error']:.2%} of the spread")
    if not arguments.quick:
        figure(trained)
    finish("throughput", found, "\n".join(lines), arguments)


def figure(trained: Sequence[dict[str, Any]]) -> None:
    """Stopping losses over CPU seconds, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, len(trained), figsize=(4 * len(trained), 3.2), squeeze=False)
    for axis, one in zip(axes[0], trained, strict=True):
        for name, curve in one["curves"].items():
            axis.plot(curve["seconds"], curve["loss"], label=name)
        axis.axhline(one["target"], color="#8a8a8a", linewidth=0.8)
        axis.set(xlabel="CPU seconds", title=f"data seed {one['seed']}")
    axes[0][0].set_ylabel("mean of the members' least stopping loss")
    axes[0][0].legend(frameon=False, fontsize=7)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "throughput.png", dpi=110)


if __name__ == "__main__":
    main()
