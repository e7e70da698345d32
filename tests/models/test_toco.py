"""ToCo's network."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.support.networks import build_toco
from tests.support.toco_training import NETWORK
from wsss.methods.token_maps import merge_scales
from wsss.models.projection import Projection, follow
from wsss.models.toco import ToCo


def made(**changes: Any) -> ToCo:
    torch.manual_seed(0)
    return build_toco({**NETWORK, **changes}, 3).eval()


def test_shapes_of_an_image_that_is_no_whole_number_of_patches() -> None:
    output = made()(torch.zeros(2, 3, 30, 41))
    assert output.tokens.shape == (2, 24, 16)
    assert output.logits.shape == output.auxiliary_logits.shape == (2, 3)
    assert output.maps.shape == output.auxiliary_maps.shape == (2, 3, 4, 6)
    assert output.pixel_logits.shape == (2, 4, 4, 6)


def test_logits_are_of_each_channel_s_largest_token_and_maps_of_each_token() -> None:
    network, images = made(), torch.randn(2, 3, 32, 32)
    output = network(images, decode=False)
    assert output.pixel_logits is None
    torch.testing.assert_close(output.logits, output.tokens.amax(1) @ network.classifier.weight.T)
    evidence = output.tokens @ network.classifier.weight.T  # (B, N, C)
    torch.testing.assert_close(output.maps[:, :, 1, 2], evidence[:, 6])


def test_the_auxiliary_classifier_reads_its_block() -> None:
    network, images = made(), torch.randn(1, 3, 32, 32)
    before = network(images)
    with torch.no_grad():
        for parameter in network.encoder.blocks[1].parameters():
            parameter.zero_()
    after = network(images)  # the last block hands on what it reads
    torch.testing.assert_close(after.auxiliary_logits, before.auxiliary_logits)
    assert not torch.allclose(after.logits, before.logits)


def test_merged_maps_are_of_every_scale_upright_and_mirrored() -> None:
    network, images = made(), torch.randn(2, 3, 32, 32)
    seen = [images, F.interpolate(images, (16, 16), mode="bilinear")]
    pairs = [(network(view).maps, network(view.flip(-1)).maps) for view in seen]
    main, auxiliary = network.merged_maps(images)
    torch.testing.assert_close(main, merge_scales(pairs, (4, 4)))
    assert auxiliary.shape == main.shape and not torch.allclose(auxiliary, main)


def test_the_teacher_starts_as_the_student_and_learns_nothing() -> None:
    network = made()
    tokens = network.class_token(torch.randn(2, 3, 16, 16))
    codes = network.teacher(tokens)
    torch.testing.assert_close(codes, network.projection(tokens))
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(2))
    learns = {id(parameter) for group in network.parameter_groups().values() for parameter in group}
    every = dict(network.named_parameters())
    resting = {name for name, parameter in every.items() if id(parameter) not in learns}
    assert resting == {name for name in every if name.startswith("teacher.")}
    assert not any(every[name].requires_grad for name in resting)


def test_a_teacher_goes_a_tenth_of_the_way() -> None:
    student, teacher = (Projection(4, 4, 4, 4) for _ in range(2))
    before, target = teacher.directions.detach().clone(), student.directions.detach().clone()
    follow(teacher, student, 0.9)
    torch.testing.assert_close(teacher.directions.detach(), 0.9 * before + 0.1 * target)
    assert torch.equal(student.directions, target)
    follow(teacher, student, 1.0)
    torch.testing.assert_close(teacher.directions.detach(), 0.9 * before + 0.1 * target)


def test_networks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="auxiliary: expected a block before the last of 2, found 2"):
        made(auxiliary=2)
    arguments = {**NETWORK["arguments"], "class_token": False, "global_pool": "avg"}
    with pytest.raises(ValueError, match="'vit_tiny_patch16_224': expected a class token"):
        made(arguments=arguments)
