"""How PyTorch trains and draws from the models of ``generative_peers``: eager, step by step."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from experiments.benchmarks.generative_work import Learned, Work


def torch_train(work: Work, make: Callable[[Any], Any], device: str, threads: int) -> Learned:
    """Steps of Adam, fused, one after the other: of ``make(device)`` on the work's batches."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    model, x = make(device), torch.tensor(work.x, device=device)
    one = _step(model, work.rate)
    rows = [torch.tensor(rows, device=device) for rows in work.batches()]
    before, _ = _timed(lambda: one(x[rows[0]]), device)

    def loop():
        return [one(x[each]) for each in rows]

    run, losses = _timed(loop, device)
    return Learned(run, before, float(torch.stack(losses[-work.per_epoch :]).mean()))


def torch_samples(model: Any, n: int, calls: int, device: str, threads: int) -> Learned:
    """``calls`` times n draws."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        before, _ = _timed(lambda: model.sample(n), device)
        run, x = _timed(lambda: [model.sample(n) for _ in range(calls)][-1], device)
    return Learned(run, before, float(x.square().mean()))


def torch_study(work: Work, make, valid, rates, seeds: int, device: str, threads: int):
    """A loop of trainings: the held-out losses [rates, seeds]."""
    torch.set_num_threads(threads)
    x, held_out = torch.tensor(work.x, device=device), torch.tensor(valid, device=device)

    def train(rate, seed):
        torch.manual_seed(seed)
        model = make(device)
        one = _step(model, rate)
        for rows in work.batches(seed):
            one(x[torch.from_numpy(rows).to(device)])
        with torch.inference_mode():
            return model.loss(held_out).item()

    return np.array([[train(rate, seed) for seed in range(seeds)] for rate in rates])


def _step(model, rate: float):
    optimizer = torch.optim.Adam(model.parameters, lr=rate, fused=True)

    def one(x):
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return one


def _timed(fn, device):
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    result = fn()
    wait()
    return time.perf_counter() - began, result
