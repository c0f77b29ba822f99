# /// script
# requires-python = "==3.11.7"
# dependencies = ["numpy==2.4.6", "pip", "torch==2.13.0"]
# ///
"""The pocket scaling study: byte-level transformers, trained from scratch on Python source, on a CPU.

    python data/pocket/train.py --workers 2

builds the text, sweeps learning rates, trains every run of the IsoFLOP design and writes `sweep.csv`, then
`runs.csv` and `curves.csv`, each when the last of its runs has ended. After a kill the same command goes on
where it stopped: a finished run is one JSON file in `records/`, with the time it began and ended, and a long
run leaves a checkpoint there.

    python data/pocket/train.py --held-out 96x4 128x4 160x4

trains those shapes (width x depth) at the held-out budget and writes `held_out.csv`.

Loss is in nats per byte. A run's loss is the mean over all held-out files (2 MB), cut into windows of 128
bytes, each byte predicted from the bytes before it in its window; the last point of its curve is that loss,
the points before are measured on 64 KiB of the same windows. `params` counts everything: the embedding is
also the output matrix and positions have no parameters. `flops` is 6 * params * tokens, and the budget is set
by it; `flops_exact` counts every matrix product, attention in full as it is computed. No byte is seen twice.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
import multiprocessing
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent

# -- the design --------------------------------------------------------------------------------------------

SHAPES = (
    (4, 2), (6, 2), (8, 2), (12, 2), (16, 2), (20, 2), (24, 2), (32, 2), (40, 2), (48, 2), (48, 3),
    (64, 3), (80, 3), (96, 3), (96, 4), (128, 3), (128, 4), (160, 4), (160, 6),
)  # fmt: skip
"""Ladder of (width, depth), smallest first; a budget uses a stretch of it."""
BUDGETS = {1e11: (0, 9), 3e11: (2, 11), 1e12: (3, 12), 3e12: (5, 15), 1e13: (6, 17), 3e13: (9, 19)}
"""Budget in FLOPs: the stretch of SHAPES trained with it, fourfold around its minimum on both sides."""
REPEATED = (3e11, 1e12)
"""Budgets trained with every seed, so that run noise is known; the others use the first seed."""
SEEDS = (0, 1, 2)
HELD_OUT_BUDGET = 1e14
SWEEP = {(16, 2): 1e11, (32, 2): 3e11, (64, 3): 1e12, (128, 3): 2.5e12}
"""Shapes whose learning rate is swept, and the budget of each sweep run."""
SWEEP_RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2)
RATE_RULE = (0.20422, -0.94591)
"""Scale and power of width: what `fit_rate_rule` gives for `sweep.csv`. A constant, since a sweep trained on
another machine differs as another seed would, and its own rule would give every run another rate. It has five
digits, since four would round the rate of width 6, 0.0375003, the other way."""

# -- the recipe --------------------------------------------------------------------------------------------

CONTEXT = 128
SMALL_BATCH, LARGE_BATCH = 8, 16
LARGE_BATCH_FROM = 3e12
"""Windows a step: the small batch below this budget, where steps are few; the large one is faster."""
VOCABULARY = 256
WARM_UP = 0.03
WEIGHT_DECAY = 0.1
BETAS = (0.9, 0.95)
CLIP = 1.0
CURVE_POINTS = 20
CURVE_WINDOWS = 512
CHECKPOINT_SECONDS = 120.0
DIVERGED_ABOVE = 1.2 * math.log(VOCABULARY)
"""A final loss above this, 1.2 times that of a uniform guess, is no result: the run has diverged."""

# -- the text ----------------------------------------------------------------------------------------------

PACKAGES = (
    "astropy==8.0.2", "django==5.2.19", "docutils==0.23", "jax==0.10.2", "keras==3.15.1",
    "matplotlib==3.11.2", "mypy==2.4.1", "networkx==3.6.1", "numba==0.68.1", "numpy==2.4.6",
    "pandas==3.1.1", "pygments==2.21.0", "scikit-learn==1.9.1", "scipy==1.17.1", "sphinx==9.0.4",
    "sqlalchemy==2.1.9", "statsmodels==0.15.0", "sympy==1.14.0", "twisted==26.10.0", "xarray==2026.9.0",
)  # fmt: skip
PLATFORMS = tuple(f"manylinux_2_{glibc}_x86_64" for glibc in (17, 24, 27, 28))
"""One fixed platform, whatever the machine: a wheel's generated files differ between platforms."""
PYTHON = "3.11.7"
SHEBANG = b"#!/root/.pyenv/versions/3.11.7/bin/python3.11"
"""First line of python-config.py where the published text was built."""
MIN_FILE, MAX_FILE = 100, 200_000
"""Bytes. Shorter files are empty package markers; longer ones are nearly all generated tables."""
VALIDATION_BYTES = 2_000_000
TEXT_SHA256 = "25b17fff67083b133a0a0c97ec1f6997e9749c7ffc399508b13f4d3d84ca9614"


def stop(message: str) -> SystemExit:
    """End the program with a message for its user; raise what this returns."""
    return SystemExit(f"train.py: {message}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a kill half-way leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)


def wheel_sources(wheels: Path) -> Iterator[tuple[str, bytes]]:
    """Fetch the pinned wheels once, and yield (package, source file) for each Python file in them."""
    wheels.mkdir(parents=True, exist_ok=True)
    for pinned in PACKAGES:
        name, version = pinned.split("==")
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        if not list(wheels.glob(pattern)):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
            command += ["--only-binary", ":all:", "--python-version", PYTHON.rpartition(".")[0], pinned]
            for platform in PLATFORMS:
                command += ["--platform", platform]
            if subprocess.run(command, check=False).returncode or not list(wheels.glob(pattern)):
                raise stop(f"cannot fetch {pinned}: see the lines above; run again when the index answers")
        for wheel in wheels.glob(pattern):
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.namelist():
                    if entry.endswith(".py"):
                        yield pinned, archive.read(entry)


def stdlib_sources() -> Iterator[tuple[str, bytes]]:
    """Yield (version, source file) for the running Python's standard library; it must be the pinned one."""
    running = ".".join(map(str, sys.version_info[:3]))
    if running != PYTHON:
        raise stop(
            f"this is Python {running}, the text holds the library of {PYTHON}: run this with {PYTHON}"
        )
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in library.rglob("*.py"):
        # Written when Python was built or its packages installed: these differ from machine to machine.
        if "site-packages" not in path.parts and not path.name.startswith("_sysconfigdata"):
            content = path.read_bytes()
            if path.name == "python-config.py":
                # Its first line is the path of the interpreter, which differs too; the rest does not.
                content = SHEBANG + content[content.index(b"\n") :]
            yield f"python=={PYTHON}", content


def split_text(
    sources: Iterable[tuple[str, bytes]], validation_bytes: int
) -> tuple[bytes, bytes, dict[str, list[int]]]:
    """Put source files into one order, and split them by file.

    The order is that of their SHA-256: a shuffle that needs no random numbers, whatever order the files came
    in, and in which equal files meet, so that one of them stays. The first files are held out. A NUL byte
    ends each file.

    Parameters
    ----------
    sources : iterable of (str, bytes)
        Package and content of each file.
    validation_bytes : int
        Whole files are held out until they hold at least so many bytes.

    Returns
    -------
    train, validation : bytes
    manifest : dict of str to list of int
        Package to [files, bytes] it gave.
    """
    files = {hashlib.sha256(content).digest(): (package, content)
             for package, content in sorted(sources) if MIN_FILE <= len(content) <= MAX_FILE}  # fmt: skip
    manifest: dict[str, list[int]] = {}
    train, validation = bytearray(), bytearray()
    for digest in sorted(files):
        package, content = files[digest]
        (validation if len(validation) < validation_bytes else train).extend(content + b"\0")
        count = manifest.setdefault(package, [0, 0])
        count[0] += 1
        count[1] += len(content)
    return bytes(train), bytes(validation), manifest


def text_sha256(folder: Path) -> str:
    """Hash both parts of the built text."""
    digest = hashlib.sha256()
    for name in ("train.bin", "validation.bin"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def build_text(folder: Path) -> None:
    """Leave train.bin and validation.bin in a folder, fetched and split unless they are there; check them."""
    if not (folder / "validation.bin").exists():
        sources = [*stdlib_sources(), *wheel_sources(folder / "wheels")]
        train, validation, manifest = split_text(sources, VALIDATION_BYTES)
        for package, (files, size) in sorted(manifest.items()):
            print(f"text {package}: {files} files, {size} bytes", flush=True)
        write_whole(folder / "train.bin", train)
        write_whole(folder / "validation.bin", validation)
    found = text_sha256(folder)
    sizes = [(folder / name).stat().st_size for name in ("train.bin", "validation.bin")]
    print(f"text: {sizes[0]} bytes to train, {sizes[1]} held out, sha256 {found}", flush=True)
    if found != TEXT_SHA256:
        raise stop(f"{folder}: the text has sha256 {found}, not {TEXT_SHA256}: remove this folder, and build "
                   f"the text with an unmodified Python {PYTHON}")  # fmt: skip


# -- the model ---------------------------------------------------------------------------------------------


class Block(nn.Module):
    """Attention, then a GELU layer four times as wide; each behind a LayerNorm without bias."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.heads = max(1, width // 32)
        self.attention_norm = nn.Parameter(torch.ones(width))
        self.mlp_norm = nn.Parameter(torch.ones(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        for matrix in (self.qkv, self.out, self.up, self.down):
            nn.init.normal_(matrix.weight, std=matrix.in_features**-0.5)
        # What is added to the residual stream keeps its scale at any depth.
        for matrix in (self.out, self.down):
            nn.init.normal_(matrix.weight, std=(2 * depth * matrix.in_features) ** -0.5)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        batch, length, width = x.shape
        size = width // self.heads
        qkv = self.qkv(F.layer_norm(x, (width,), self.attention_norm))
        q, k, v = qkv.view(batch, length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin).view(-1, length, size), rotate(k, cos, sin).view(-1, length, size)
        # Plain batched products: at these sizes faster on a CPU than the fused attention of PyTorch.
        weights = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=size**-0.5).softmax(-1)
        mixed = torch.bmm(weights, v.reshape(-1, length, size)).view(batch, self.heads, length, size)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(F.layer_norm(x, (width,), self.mlp_norm))))


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn each pair of features by an angle that grows with the position (rotary positions)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class Transformer(nn.Module):
    """Decoder-only, over bytes; the embedding is also the output matrix."""

    cos: torch.Tensor
    sin: torch.Tensor
    mask: torch.Tensor

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.02 * torch.randn(VOCABULARY, width))
        self.blocks = nn.ModuleList(Block(width, depth) for _ in range(depth))
        self.norm = nn.Parameter(torch.ones(width))
        half = width // max(1, width // 32) // 2
        angles = torch.arange(float(CONTEXT))[:, None] * 10_000 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        mask = torch.full((CONTEXT, CONTEXT), -math.inf).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Mean loss in nats per byte over windows of CONTEXT + 1 bytes."""
        x = F.embedding(windows[:, :-1], self.embedding)
        for block in self.blocks:
            x = block(x, self.cos, self.sin, self.mask)
        logits = F.linear(F.layer_norm(x, (x.shape[-1],), self.norm), self.embedding)
        return F.cross_entropy(logits.view(-1, VOCABULARY), windows[:, 1:].reshape(-1))


def count_params(width: int, depth: int) -> tuple[int, int]:
    """Count parameters: all, and those outside the embedding."""
    non_embedding = depth * (12 * width**2 + 2 * width) + width
    return non_embedding + VOCABULARY * width, non_embedding


def exact_flops_per_token(width: int, depth: int) -> int:
    """FLOPs of every matrix product for one trained byte; the backward pass costs twice the forward pass."""
    matrices = 2 * (depth * 12 * width**2 + VOCABULARY * width)
    attention = depth * 2 * 2 * CONTEXT * width
    return 3 * (matrices + attention)


# -- one run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What decides a run, beside the recipe and the text."""

    stage: str
    budget: float
    width: int
    depth: int
    seed: int
    lr: float

    @property
    def run_id(self) -> str:
        """Name of the run, and of its file."""
        name = f"{self.budget:.0e}".replace("e+", "e") + f"-w{self.width}-d{self.depth}-s{self.seed}"
        return f"sweep-{name}-lr{self.lr:g}" if self.stage == "sweep" else name

    @property
    def batch(self) -> int:
        """Windows a step."""
        return LARGE_BATCH if self.budget >= LARGE_BATCH_FROM else SMALL_BATCH

    @property
    def steps(self) -> int:
        """Optimiser steps whose 6 * params * tokens comes nearest to the budget."""
        flops = 6 * count_params(self.width, self.depth)[0] * self.batch * CONTEXT
        return max(1, round(self.budget / flops))


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up, then half a cosine that reaches zero with the run's own last step."""
    warm_up = max(10, round(WARM_UP * plan.steps))
    if step < warm_up:
        return plan.lr * (step + 1) / warm_up
    return plan.lr * 0.5 * (1 + math.cos(math.pi * (step + 1 - warm_up) / max(1, plan.steps - warm_up)))


def take_windows(text: np.ndarray, indices: np.ndarray) -> torch.Tensor:
    """Cut windows of CONTEXT + 1 bytes out of the text: each begins with the last byte of the one before."""
    starts = indices[:, None] * CONTEXT + np.arange(CONTEXT + 1)
    return torch.from_numpy(text[starts].astype(np.int64))


def count_windows(text: np.ndarray) -> int:
    """Count the windows a text holds."""
    return (len(text) - 1) // CONTEXT


def utc_now() -> str:
    """Date and time to the second, in UTC, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@torch.no_grad()
def evaluate(model: nn.Module, text: np.ndarray, windows: int) -> float:
    """Mean loss over evenly spaced windows of a text, in nats per byte."""
    indices = np.linspace(0, count_windows(text) - 1, min(windows, count_windows(text))).astype(np.int64)
    total = 0.0
    for begin in range(0, len(indices), 32):
        batch = take_windows(text, indices[begin : begin + 32])
        total += model(batch).item() * len(batch)
    return total / len(indices)


def train_run(
    plan: Plan,
    train: np.ndarray,
    validation: np.ndarray,
    work: Path,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> dict[str, Any]:
    """Train one run, or go on with it from its checkpoint, and file its record.

    Parameters
    ----------
    plan : Plan
        The run.
    train, validation : ndarray of uint8
        The two parts of the text.
    work : Path
        Folder of records and checkpoints.
    checkpoint_seconds : float
        Time between checkpoints.

    Returns
    -------
    dict
        The plan, "began" and "ended" (UTC), "row" (the run's row in runs.csv) and "curve" (its rows in
        curves.csv). The last loss of the curve is the run's loss; the others are measured on CURVE_WINDOWS
        windows of the held-out files. A run that has diverged has the loss NaN.
    """
    torch.set_num_threads(1)
    params, non_embedding = count_params(plan.width, plan.depth)
    step_tokens = plan.batch * CONTEXT
    if plan.steps * plan.batch > count_windows(train):
        raise stop(f"{plan.run_id}: trains on {plan.steps * step_tokens} bytes, the text has {len(train)}, "
                   "and no byte is used twice; take a larger shape")  # fmt: skip
    order = np.random.default_rng(plan.seed).permutation(count_windows(train))
    points = {max(1, round(plan.steps ** (i / CURVE_POINTS))) for i in range(CURVE_POINTS // 4, CURVE_POINTS)}

    torch.manual_seed(plan.seed)
    model = Transformer(plan.width, plan.depth)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": gains, "weight_decay": 0.0}],
        betas=BETAS,
        fused=True,
    )
    step, seconds, began = 0, 0.0, utc_now()
    losses: list[float] = []
    curve: list[dict[str, Any]] = []
    checkpoint = work / f"{plan.run_id}.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["plan"] != asdict(plan):
            raise stop(f"{checkpoint} is of another plan: {saved['plan']}, not {asdict(plan)}; remove it")
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        step, seconds, began = saved["step"], saved["seconds"], saved["began"]
        losses, curve = saved["losses"], saved["curve"]

    started = checked = perf_counter()
    status = "finished"
    while step < plan.steps:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(plan, step)
        optimiser.zero_grad()
        loss = model(take_windows(train, order[step * plan.batch : (step + 1) * plan.batch]))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        losses.append(loss.item())
        step += 1
        if not math.isfinite(losses[-1]):
            status = "diverged"
            break
        if step in points and step < plan.steps:
            curve.append({"tokens": step * step_tokens, "loss": evaluate(model, validation, CURVE_WINDOWS),
                          "train_loss": float(np.mean(losses))})  # fmt: skip
            losses = []
        if perf_counter() - checked >= checkpoint_seconds:
            checked = perf_counter()
            buffer = io.BytesIO()
            saved = {"plan": asdict(plan), "model": model.state_dict(), "optimiser": optimiser.state_dict()}
            saved |= {"step": step, "seconds": seconds + checked - started, "began": began}
            saved |= {"losses": losses, "curve": curve}
            torch.save(saved, buffer)
            write_whole(checkpoint, buffer.getvalue())

    final = evaluate(model, validation, count_windows(validation)) if status == "finished" else math.nan
    if not final <= DIVERGED_ABOVE:
        status, final = "diverged", math.nan
    curve.append({"tokens": step * step_tokens, "loss": final, "train_loss": float(np.mean(losses))})
    row = {
        "run_id": plan.run_id,
        "params": params,
        "tokens": step * step_tokens,
        "flops": 6 * params * step * step_tokens,
        "budget": plan.budget,
        "loss": final,
        "params_non_embedding": non_embedding,
        "flops_exact": exact_flops_per_token(plan.width, plan.depth) * step * step_tokens,
        "width": plan.width,
        "depth": plan.depth,
        "seed": plan.seed,
        "lr": plan.lr,
        "batch": plan.batch,
        "steps": step,
        "seconds": round(seconds + perf_counter() - started, 2),
        "status": status,
    }
    curve = [{"run_id": plan.run_id, "params": params, **point} for point in curve]
    record = {"plan": asdict(plan), "began": began, "ended": utc_now(), "row": row, "curve": curve}
    write_whole(work / f"{plan.run_id}.json", json.dumps(record, indent=1).encode())
    checkpoint.unlink(missing_ok=True)
    return record


# -- the study ---------------------------------------------------------------------------------------------

TABLES = {"sweep": "sweep.csv", "study": "runs.csv", "held_out": "held_out.csv"}
"""The stages, and the table of each."""


def sweep_plans() -> list[Plan]:
    """Runs of the learning-rate sweep, longest last."""
    plans = [Plan("sweep", budget, *shape, seed=SEEDS[0], lr=rate)
             for shape, budget in SWEEP.items() for rate in SWEEP_RATES]  # fmt: skip
    return sorted(plans, key=lambda plan: plan.budget)


def fit_rate_rule(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Fit lr = scale * width**power to the best rates of a sweep.

    Parameters
    ----------
    rows : list of dict
        Rows of the sweep: width, lr, loss, status; runs that diverged are left out.

    Returns
    -------
    scale, power : float
        Each width's best rate is the vertex of the parabola of loss in log lr through its best rate and the
        two beside it; the rule is the least-squares line through their logs.

    Raises
    ------
    ValueError
        If a width's best rate is the first or last of those swept.
    """
    best = {}
    for width in sorted({row["width"] for row in rows}):
        finished = [row for row in rows if row["width"] == width and row["status"] == "finished"]
        log_rates, losses = np.array(sorted((math.log(row["lr"]), row["loss"]) for row in finished)).T
        lowest = int(np.argmin(losses))
        if lowest in (0, len(losses) - 1):
            raise ValueError(
                f"at width {width} the lowest loss is at the end of the rates: widen SWEEP_RATES"
            )
        beside = slice(lowest - 1, lowest + 2)
        curvature, slope, _ = np.polyfit(log_rates[beside], losses[beside], 2)
        best[width] = -slope / (2 * curvature)
    power, log_scale = np.polyfit(np.log(list(best)), list(best.values()), 1)
    return float(np.exp(log_scale)), float(power)


def describe_rule(rows: list[dict[str, Any]]) -> str:
    """Write the rule of a sweep, or why it has none: the study does without."""
    try:
        scale, power = fit_rate_rule(rows)
    except ValueError as reason:
        return f"none, {reason}"
    return f"{scale:.4g} * width ** {power:.4g}"


def rate_for(width: int) -> float:
    """Learning rate of a width, to two digits."""
    return float(f"{RATE_RULE[0] * width ** RATE_RULE[1]:.2g}")


def study_plans() -> list[Plan]:
    """Runs of the study: small budgets first, and in a budget the small models first, which take longest."""
    return [
        Plan("study", budget, width, depth, seed, rate_for(width))
        for budget, (first, end) in BUDGETS.items()
        for width, depth in SHAPES[first:end]
        for seed in (SEEDS if budget in REPEATED else SEEDS[:1])
    ]


def write_tables(records: list[dict[str, Any]], stage: str, out: Path) -> None:
    """Write a stage's rows, and the study's curves, sorted; every file whole."""

    def plan_key(record: dict[str, Any]) -> tuple[Any, ...]:
        return record["row"]["budget"], record["row"]["params"], record["row"]["seed"], record["row"]["lr"]

    records = sorted((record for record in records if record["plan"]["stage"] == stage), key=plan_key)
    tables = {TABLES[stage]: [record["row"] for record in records]}
    if stage == "study":
        tables["curves.csv"] = [point for record in records for point in record["curve"]]
    for name, rows in tables.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(out / name, text.getvalue().encode())


def read_records(work: Path) -> list[dict[str, Any]]:
    """Read the records of all finished runs."""
    return [json.loads(path.read_text()) for path in sorted(work.glob("*.json"))]


def train_plan(plan: Plan, text: Path, work: Path) -> dict[str, Any]:
    """Train one run in a worker process, which maps the text instead of holding it."""
    train, validation = (np.memmap(text / f"{name}.bin", np.uint8, "r") for name in ("train", "validation"))
    return train_run(plan, train, validation, work)


def train_all(plans: list[Plan], workers: int, text: Path, work: Path, out: Path) -> list[dict[str, Any]]:
    """Train what is not finished yet of a stage, one process a core; write its tables when all of it is.

    The tables that are there stay until then: a rebuild that is stopped half-way leaves them as they were.

    Returns
    -------
    list of dict
        The rows of all the plans.
    """
    records = {record["row"]["run_id"]: record for record in read_records(work)}
    for plan in plans:
        if plan.run_id in records and records[plan.run_id]["plan"] != asdict(plan):
            raise stop(f"{work / plan.run_id}.json is of another plan: {records[plan.run_id]['plan']}, not "
                       f"{asdict(plan)}; name another --work folder")  # fmt: skip
    missing = [plan for plan in plans if plan.run_id not in records]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(train_plan, plan, text, work) for plan in missing]
        for done, future in enumerate(as_completed(waiting), start=1):
            record = future.result()
            row = record["row"]
            print(f"{done}/{len(missing)} {row['run_id']} params {row['params']} tokens {row['tokens']} "
                  f"lr {row['lr']:g} loss {row['loss']:.4f} {row['status']} {row['seconds']:.0f} s "
                  f"{row['flops'] / row['seconds'] / 1e9:.1f} GFLOP/s, "
                  f"{record['began']} to {record['ended']}", flush=True)  # fmt: skip
    records = {record["row"]["run_id"]: record for record in read_records(work)}
    write_tables(list(records.values()), plans[0].stage, out)
    return [records[plan.run_id]["row"] for plan in plans]


def read_shape(word: str) -> tuple[int, int]:
    """Read WIDTHxDEPTH."""
    try:
        width, depth = map(int, word.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no shape: write WIDTHxDEPTH, as 96x4") from None
    return width, depth


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workers", type=int, default=1, help="processes, one a core")
    parser.add_argument("--text", type=Path, default=HERE / "text", help="folder of the text")
    parser.add_argument(
        "--work", type=Path, default=HERE / "records", help="folder of records and checkpoints"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    parser.add_argument("--held-out", type=read_shape, nargs="+", metavar="WIDTHxDEPTH",
                        help=f"train these shapes at {HELD_OUT_BUDGET:g} FLOPs instead")  # fmt: skip
    args = parser.parse_args()
    build_text(args.text)
    if args.held_out:
        plans = [Plan("held_out", HELD_OUT_BUDGET, width, depth, SEEDS[0], rate_for(width))
                 for width, depth in args.held_out]  # fmt: skip
    else:
        swept = train_all(sweep_plans(), args.workers, args.text, args.work, args.out)
        print(f"learning rate: {RATE_RULE[0]} * width ** {RATE_RULE[1]}, to two digits", flush=True)
        print(f"this sweep's own rule, which trains nothing: {describe_rule(swept)}", flush=True)
        plans = study_plans()
    train_all(plans, args.workers, args.text, args.work, args.out)


if __name__ == "__main__":
    main()
