"""The parts of a Conformer: bottleneck, transformer block, and the two units that couple the branches.

Attribute names and their order are those of the published weights.
"""

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6  # of every normalisation inside the blocks; stem and final norm keep the library's 1e-5
EXPANSION = 4  # a bottleneck's inner width is its output width divided by this


class ConvBlock(nn.Module):
    """Bottleneck 1x1, 3x3, 1x1 with a residual; the expanded tokens join before the 3x3 convolution.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Stride of the 3x3 convolution (and of the projected residual).
        project: Whether the residual passes a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, project: bool = False) -> None:
        super().__init__()
        inner = outputs // EXPANSION
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, eps=EPS)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner, eps=EPS)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=EPS)
        self.project = project
        if project:
            self.residual_conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.residual_bn = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, features: Tensor, expanded: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the block's output, (B, outputs, h, w), and its inner features, (B, outputs/4, h, w)."""
        inner = F.relu(self.bn1(self.conv1(features)))
        inner = inner if expanded is None else inner + expanded
        inner = F.relu(self.bn2(self.conv2(inner)))
        residual = self.residual_bn(self.residual_conv(features)) if self.project else features
        return F.relu(self.bn3(self.conv3(inner)) + residual), inner


class Attention(nn.Module):
    """Multi-head self-attention that can also hand out its softmax weights.

    Args:
        dim: Token width.
        heads: Number of heads; the scale is head width ^ -0.5.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, attention: bool) -> tuple[Tensor, Tensor | None]:
        """Mix the tokens, (B, N+1, D), and return the weights averaged over heads, (B, N+1, N+1), if asked.

        Asking costs (B, heads, N+1, N+1) of memory while the block runs; otherwise the fused kernel never
        holds that matrix. Both give the same numbers within rounding.
        """
        split = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)  # (B, heads, N+1, D / heads) each
        if attention:
            weights = (query @ key.transpose(-2, -1) * self.scale).softmax(-1)
            mixed, mean = weights @ value, weights.mean(1)
        else:
            mixed, mean = F.scaled_dot_product_attention(query, key, value), None
        return self.proj(mixed.transpose(1, 2).flatten(2)), mean  # (B, N+1, D)


class TransformerBlock(nn.Module):
    """Pre-normalised attention and MLP, each with a residual.

    Args:
        dim: Token width.
        heads: Number of attention heads.
        mlp_ratio: Inner width of the MLP divided by ``dim``.
        drop_path: Probability of skipping a residual branch for a sample in training.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = Attention(dim, heads)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, tokens: Tensor, attention: bool) -> tuple[Tensor, Tensor | None]:
        """Return the tokens, (B, N+1, D), and the head-averaged attention, (B, N+1, N+1) or None."""
        mixed, weights = self.attn(self.norm1(tokens), attention)
        tokens = tokens + self.drop_path(mixed)
        return tokens + self.drop_path(self.mlp(self.norm2(tokens))), weights


class SqueezeUnit(nn.Module):
    """Conv features to tokens: 1x1 convolution, average pooling, layer norm, GELU.

    Args:
        channels: Channels of the conv features.
        dim: Token width.
        pool: Side of a token in feature cells.
    """

    def __init__(self, channels: int, dim: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.conv_project = nn.Conv2d(channels, dim, 1)
        self.ln = nn.LayerNorm(dim, eps=EPS)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Turn features (B, c, h*pool, w*pool) into (B, N+1, D), class token of ``tokens`` in front."""
        pooled = F.avg_pool2d(self.conv_project(features), self.pool).flatten(2).transpose(1, 2)  # (B, N, D)
        return torch.cat([tokens[:, :1], F.gelu(self.ln(pooled))], dim=1)


class ExpandUnit(nn.Module):
    """Patch tokens to conv features: 1x1 convolution, batch norm, ReLU, nearest up-sampling.

    Args:
        dim: Token width.
        channels: Channels of the conv features.
        scale: Side of a token in feature cells.
    """

    def __init__(self, dim: int, channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv_project = nn.Conv2d(dim, channels, 1)
        self.bn = nn.BatchNorm2d(channels, eps=EPS)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Lay tokens (B, N+1, D) out on the ``grid`` (h, w) and return (B, c, h*scale, w*scale)."""
        patches = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)  # (B, D, h, w)
        features = F.relu(self.bn(self.conv_project(patches)))
        return features if self.scale == 1 else F.interpolate(features, scale_factor=self.scale)


class CoupledBlock(nn.Module):
    """Two bottlenecks and a transformer block that read each other's features.

    Args:
        inputs: Conv channels in.
        outputs: Conv channels out.
        dim: Token width.
        heads: Number of attention heads.
        mlp_ratio: Inner width of the MLP divided by ``dim``.
        drop_path: Stochastic depth of the transformer block.
        ratio: Side of a token in cells of this block's conv features.
        stride: Stride of the first bottleneck.
        last_stride: Stride of the second one (2 only in the published network's last block).
        stop_gradient: Whether gradients stop where the branches meet.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        dim: int,
        heads: int,
        mlp_ratio: float,
        drop_path: float,
        ratio: int,
        stride: int = 1,
        last_stride: int = 1,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__()
        inner = outputs // EXPANSION
        self.stop_gradient = stop_gradient
        self.cnn_block = ConvBlock(inputs, outputs, stride=stride, project=stride > 1 or inputs != outputs)
        self.fusion_block = ConvBlock(outputs, outputs, stride=last_stride, project=last_stride > 1)
        self.squeeze_block = SqueezeUnit(inner, dim, ratio)
        self.expand_block = ExpandUnit(dim, inner, ratio)
        self.trans_block = TransformerBlock(dim, heads, mlp_ratio, drop_path)

    def forward(
        self, features: Tensor, tokens: Tensor, grid: tuple[int, int], attention: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Advance both branches; returns conv features, tokens and the attention or None.

        The squeezed features are added to tokens that already carry the class token they bring along: it
        doubles at every block, and the published weights expect that.
        """
        features, inner = self.cnn_block(features)
        squeezed = self.squeeze_block(self._stop(inner), tokens)
        tokens, weights = self.trans_block(squeezed + tokens, attention)
        features, _ = self.fusion_block(features, self.expand_block(self._stop(tokens), grid))
        return features, tokens, weights

    def _stop(self, tensor: Tensor) -> Tensor:
        return tensor.detach() if self.stop_gradient else tensor
