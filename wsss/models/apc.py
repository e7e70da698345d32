"""APC: patch classes and pixel labels from one vision transformer (APC, section 3.2)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from wsss.models.hv_bilstm import HVBiLSTM
from wsss.models.mlp_decoder import MLPDecoder
from wsss.models.outputs import check_images, pad_to_multiple
from wsss.models.timm_transformers import create_transformer


class APCOutput(NamedTuple):
    """One forward pass.

    Attributes:
        features: F_out, the patches after the HV-BiLSTM, row after row, (B, N, D).
        scores: Z, the class probabilities of each patch, background first, (B, N, C+1).
        grid: Rows and columns (h, w) of the patches, h * w = N.
        pixel_logits: Logits of the decoder, background first, (B, C+1, h, w); None when not asked for, or
            without a decoder.
    """

    features: Tensor
    scores: Tensor
    grid: tuple[int, int]
    pixel_logits: Tensor | None


class APC(nn.Module):
    """A timm transformer under a patch classifier and a pixel decoder.

    Every block output that is read passes the encoder's final norm, the last one and those for the decoder
    alike: residual streams grow with depth, and this gives them one scale without further parameters.
    At the native side the position embedding is used as it is, at others it is interpolated (bicubic).
    With ViT-B/16, 20 classes and the defaults it has 90,117,397 parameters.

    Args:
        model: timm's name of a VisionTransformer or Eva, without a weights tag or with one.
        num_classes: Foreground classes C.
        arguments: Further arguments of ``timm.create_model``.
        blocks: Blocks that the decoder reads, ascending, counted from 1.
        lstm: Units of one direction of an LSTM, a quarter of the encoder's features.
        dropout: Share of F_in that training sets to zero before the LSTMs.
        lstm_dropout: Share of what each LSTM reads that it then sets to zero.
        classifier_dropout: Share of F_out that it sets to zero before the patch classifier, and there alone.
        lstm_initial: How the LSTMs' weights are drawn, ``torch`` or ``keras``.
        decoder: Channels of the decoder; None: the patches alone are classified, and ``blocks`` are not read.
        native_side: Image side in pixels that the position embedding of the initial weights was learnt at;
            None leaves timm's default for the model.

    Attributes:
        encoder: timm's network, under timm's own parameter names.
        stride: Image pixels per patch.
    """

    encoder: Any  # one of several classes of timm, which has no types

    def __init__(
        self,
        model: str,
        num_classes: int,
        *,
        arguments: Mapping[str, Any] | None = None,
        blocks: Sequence[int] = (3, 6, 9, 12),
        lstm: int = 192,
        dropout: float = 0.2,
        lstm_dropout: float = 0.0,
        classifier_dropout: float = 0.0,
        lstm_initial: str = "torch",
        decoder: int | None = 256,
        native_side: int | None = None,
    ) -> None:
        super().__init__()
        options = _with_native_side(arguments or {}, native_side)
        self.encoder = create_transformer(model, options, (VisionTransformer, Eva))
        self.stride: int = self.encoder.patch_embed.feat_ratio()
        self.blocks = () if decoder is None else _check_blocks(blocks, len(self.encoder.blocks))
        dim: int = self.encoder.embed_dim
        self.hv_bilstm = HVBiLSTM(dim, lstm, dropout, lstm_dropout, lstm_initial)
        self.classifier_dropout = nn.Dropout(classifier_dropout)
        self.patch_classifier = nn.Linear(dim, num_classes + 1, bias=False)
        nn.init.normal_(self.patch_classifier.weight, std=0.05)
        self.decoder = None
        if decoder is not None:
            self.decoder = MLPDecoder(len(self.blocks), dim, decoder, num_classes + 1)

    def forward(self, images: Tensor, *, decode: bool = True) -> APCOutput:
        """Classify the patches, and the pixels at the patches' resolution.

        Args:
            images: Normalised images of any size, (B, 3, H, W); padded right and bottom to whole patches.
            decode: Whether to run the decoder, if there is one.

        Returns:
            Features, scores and logits of h = ceil(H / stride) by w = ceil(W / stride) patches.
        """
        check_images(images)
        padded = pad_to_multiple(images, self.stride)
        grid = (padded.shape[2] // self.stride, padded.shape[3] // self.stride)
        last = len(self.encoder.blocks)
        outputs = self._block_outputs(padded, sorted({*self.blocks, last}) if decode else [last])
        features = self.hv_bilstm(outputs[-1], grid)
        scores = self.patch_classifier(self.classifier_dropout(features)).softmax(-1)
        read = self.decoder if decode else None
        pixel_logits = read(outputs[: len(self.blocks)], grid) if read else None
        return APCOutput(features, scores, grid, pixel_logits)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters, each once and frozen or not: ``encoder``, ``patch_classifier`` (W) and ``head``."""
        return {
            "encoder": list(self.encoder.parameters()),
            "patch_classifier": list(self.patch_classifier.parameters()),
            "head": [*self.hv_bilstm.parameters(), *(self.decoder.parameters() if self.decoder else ())],
        }

    def let_encoder_learn(self, blocks: int | None) -> None:
        """Choose what of the encoder learns; dropout inside it is left alone.

        Args:
            blocks: So many of the last blocks, and the final norm; 0: nothing, the norm included; None: all.

        Raises:
            ValueError: If it has fewer blocks.
        """
        depth = len(self.encoder.blocks)
        if blocks is not None and not 0 <= blocks <= depth:
            raise ValueError(f"learns: expected at most the encoder's {depth} blocks, found {blocks}")
        self.encoder.requires_grad_(blocks is None)
        if blocks:
            for part in (*self.encoder.blocks[depth - blocks :], self.encoder.norm, self.encoder.fc_norm):
                part.requires_grad_(True)

    def _block_outputs(self, images: Tensor, blocks: Sequence[int]) -> list[Tensor]:
        """Patch tokens (B, N, D) after the given blocks and the final norm, from one pass."""
        outputs = self.encoder.forward_intermediates(
            images, indices=[block - 1 for block in blocks], output_fmt="NLC", intermediates_only=True
        )
        # Models that pool patches keep their final norm under the name fc_norm; the other one is an identity.
        return [self.encoder.fc_norm(self.encoder.norm(tokens)) for tokens in outputs]


def _with_native_side(arguments: Mapping[str, Any], native_side: int | None) -> dict[str, Any]:
    if native_side is None:
        return dict(arguments)
    given = arguments.get("img_size", native_side)
    if given != native_side:
        raise ValueError(f"img_size: expected the native side {native_side}, found {given}")
    return {**arguments, "img_size": native_side}


def _check_blocks(blocks: Sequence[int], depth: int) -> tuple[int, ...]:
    if not blocks or list(blocks) != sorted({*blocks} & {*range(1, depth + 1)}):
        raise ValueError(f"blocks: expected ascending numbers from 1 to {depth}, found {list(blocks)}")
    return tuple(blocks)
