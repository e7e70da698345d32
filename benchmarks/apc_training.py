"""Training throughput of APC: forward, backward and Adam step, and how much of the device it uses.

Images and labels are random and already on the device: no reading, no augmentation, and a plain loss on both
outputs in place of APC's. On a GPU in mixed precision as the trainings, on a CPU in float32.
Run: python benchmarks/apc_training.py [--model vit_base_patch16_384] [--batch 16] [--side 384] [--steps 20]
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import timed
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from wsss.models.apc import APC
from wsss.models.timm_transformers import create_transformer
from wsss.runtime.device import device

CLASSES = 20
PRODUCT_SIDES = {"cuda": (4096, 8192, 16384), "cpu": (1024, 2048)}
STEPS = {"cuda": 20, "cpu": 2}


def build(model: str, side: int) -> APC:
    """APC with its usual proportions on a model of any width and depth."""
    with torch.device("meta"):
        encoder = create_transformer(model, {})
    depth = len(encoder.blocks)
    blocks = sorted({max(1, depth * quarter // 4) for quarter in (1, 2, 3, 4)})
    return APC(model, CLASSES, blocks=blocks, lstm=encoder.embed_dim // 4, native_side=side)


def loss_of(network: APC, images: Tensor, labels: Tensor) -> Tensor:
    """A plain loss that reaches every parameter; ``labels`` (B, h, w)."""
    output = network(images)
    patches = F.nll_loss(output.scores.float().clamp_min(1e-6).log().transpose(1, 2), labels.flatten(1))
    return patches + F.cross_entropy(output.pixel_logits.float(), labels)


def flops_of_an_image(model: str, side: int) -> int:
    """Floating point operations of forward and backward of one image: matrix products, two a multiply-add.

    Counted without computing, with attention and LSTMs as the products that they consist of: the counter
    knows neither the fused LSTMs nor every fused attention. The optimiser's step is not among them.
    """
    with torch.device("meta"), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network = build(model, side)
        cells = side // network.stride
        labels = torch.zeros(1, cells, cells, dtype=torch.int64)
        loss_of(network, torch.zeros(1, 3, side, side), labels).backward()
    return int(counter.get_total_flops())


def matrix_peak(target: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the best of a few large square matrix products."""
    return max(
        _product_rate(torch.randn(side, side, device=target).to(dtype)) for side in PRODUCT_SIDES[target.type]
    )


def _product_rate(matrix: Tensor) -> float:
    seconds, _ = timed(lambda: _wait(matrix, lambda: [matrix @ matrix for _ in range(5)]), repeats=5)
    return 5 * 2 * len(matrix) ** 3 / seconds


def _wait(tensor: Tensor, work: Callable[[], object]) -> None:
    """Do the work and wait until the device has done it."""
    work()
    if tensor.is_cuda:
        torch.cuda.synchronize()


def seconds_a_step(network: APC, batch: int, side: int, steps: int, mixed: bool) -> float:
    """Median seconds of a training step."""
    target = next(network.parameters()).device
    cells = side // network.stride
    images = torch.randn(batch, 3, side, side, device=target)
    labels = torch.randint(CLASSES + 1, (batch, cells, cells), device=target)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(target.type, enabled=mixed)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(target.type, torch.float16, enabled=mixed):
            loss = loss_of(network, images, labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return timed(lambda: _wait(images, step), repeats=max(2, steps))[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="vit_base_patch16_384", help="timm's name")
    parser.add_argument("--batch", type=int, default=16, help="images a step")
    parser.add_argument("--side", type=int, default=384, help="pixels, a multiple of the patch")
    parser.add_argument(
        "--steps", type=int, help="steps that count, at least 2; by default 20 on a GPU, 2 on a CPU"
    )
    parser.add_argument("--full", action="store_true", help="float32 on a GPU as well")
    chosen = parser.parse_args()

    target = device()
    mixed = target.type == "cuda" and not chosen.full
    network = build(chosen.model, chosen.side).to(target).train()
    flops = flops_of_an_image(chosen.model, chosen.side)
    peak = matrix_peak(target, torch.float16 if mixed else torch.float32)
    seconds = seconds_a_step(network, chosen.batch, chosen.side, chosen.steps or STEPS[target.type], mixed)
    rate = chosen.batch / seconds

    name = (
        torch.cuda.get_device_name() if target.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{chosen.model}, {parameters:,} parameters, batch {chosen.batch} at {chosen.side}, {name}")
    print(f"{rate:.4g} images/s, {seconds:.4g} s a step, {'mixed precision' if mixed else 'float32'}")
    print(f"{flops / 1e9:.4g} GFLOP an image, forward and backward (torch.utils.flop_counter)")
    share = f"{flops * rate / peak:.1%} of the matrix-product peak"
    print(f"{flops * rate / 1e12:.4g} of {peak / 1e12:.4g} TFLOP/s: {share}")
    if target.type == "cuda":
        print(f"{torch.cuda.max_memory_allocated() / 2**30:.3g} GiB of GPU memory at most")


if __name__ == "__main__":
    main()
