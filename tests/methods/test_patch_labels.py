"""Pixel labels from patches: by hand, against loops, tags always obeyed, refined by colour."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from wsss.methods.pamr import pamr
from wsss.methods.patch_labels import patch_labels

REFINE = partial(pamr, iterations=4, dilations=(1, 2))


@pytest.fixture
def batch(dtype, device):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 12, 6, generator=generator, dtype=dtype).softmax(2)
    images = torch.rand(3, 3, 24, 32, generator=generator, dtype=dtype)
    tags = torch.tensor([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]])
    return scores.to(device), tags.to(device), images.to(device)


def test_by_hand():
    # a grid of 1 x 3 patches, background and two classes of which the image has the second only
    scores = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]]])
    labels = patch_labels(scores, torch.tensor([[0, 1]]), (1, 3), (2, 6))
    assert labels.dtype == torch.int64
    assert labels.tolist() == [[[0, 0, 2, 2, 2, 2]] * 2]
    both = patch_labels(scores, torch.tensor([[True, True]]), (1, 3), (1, 3))
    assert both.tolist() == [[[0, 1, 2]]]


@pytest.mark.parametrize(("grid", "size"), [((3, 4), (24, 32)), ((4, 3), (64, 48)), ((3, 4), (7, 9))])
def test_agrees_with_the_loop(batch, grid, size):
    scores, tags, _ = batch
    labels = patch_labels(scores, tags, grid, size)
    assert labels.shape == (3, *size) and labels.device == scores.device
    for image in range(3):
        names = [0, *(index + 1 for index in range(5) if tags[image, index])]
        for y in range(size[0]):
            for x in range(size[1]):
                row = int((y + 0.5) * grid[0] / size[0])
                patch = row * grid[1] + int((x + 0.5) * grid[1] / size[1])
                values = scores[image, patch].tolist()
                assert labels[image, y, x] == max(names, key=lambda name: values[name])


@pytest.mark.parametrize("refine", [None, REFINE])
def test_only_tags_and_background_are_labelled(batch, refine):
    scores, tags, images = batch
    scores[..., 3] += 10  # the strongest class is in no image
    labels = patch_labels(scores, tags, (3, 4), (24, 32), refine, images)
    assert set(labels[0].unique().tolist()) <= {0, 1, 4, 5}
    assert set(labels[2].unique().tolist()) <= {0, 2}
    assert not labels[1].any()  # an image without a class is background throughout


@pytest.mark.parametrize("refine", [None, REFINE])
def test_logits_below_zero_serve_as_well(batch, refine):
    scores, tags, images = batch
    labels = patch_labels(scores - 5, tags, (3, 4), (24, 32), refine, images)
    assert torch.equal(labels, patch_labels(scores, tags, (3, 4), (24, 32), refine, images))


@pytest.mark.parametrize("refine", [None, REFINE])
def test_the_lower_label_wins_ties(refine):
    scores, tags = torch.full((1, 4, 4), 0.25), torch.tensor([[0, 1, 1]])
    assert not patch_labels(scores, tags, (2, 2), (6, 6), refine, torch.rand(1, 3, 6, 6)).any()
    scores[..., 0] = 0
    assert (patch_labels(scores, tags, (2, 2), (6, 6), refine, torch.rand(1, 3, 6, 6)) == 2).all()


def test_refined_labels_are_those_of_all_maps_refined(batch):
    scores, tags, images = batch
    labels = patch_labels(scores, tags, (3, 4), (24, 32), REFINE, images)
    maps = F.interpolate(scores.mT.unflatten(2, (3, 4)), (24, 32), mode="bilinear", align_corners=False)
    refined = REFINE(images, maps)
    refined[:, 1:][tags == 0] = -1
    assert torch.equal(labels, refined.argmax(1))
    assert not torch.equal(labels, patch_labels(scores, tags, (3, 4), (24, 32)))


def test_before_refining_the_scores_lie_where_their_patches_do():
    """An object that fills the first of four columns of patches ends where they end, not before."""
    foreground = torch.tensor([0.9, 0.1, 0.1, 0.1] * 3)
    scores = torch.stack([1 - foreground, foreground], dim=1)[None]
    image, tags = torch.rand(1, 3, 48, 64), torch.tensor([[1]])
    labels = patch_labels(scores, tags, (3, 4), (48, 64), partial(pamr, iterations=0), image)
    assert torch.equal(labels, patch_labels(scores, tags, (3, 4), (48, 64)))


def test_refined_labels_follow_the_colours():
    # the object's edge is at column 20, within the third patch of 8 pixels, which is undecided
    image = torch.zeros(1, 3, 16, 32)
    image[..., 20:] = 1
    foreground = torch.tensor([0.1, 0.1, 0.5, 0.9] * 2)
    scores = torch.stack([1 - foreground, foreground], dim=1)[None]
    labels = patch_labels(scores, torch.tensor([[1]]), (2, 4), (16, 32), pamr, image)
    assert (labels == (image[:, 0] == 1)).all()


def test_images_of_another_size_are_resized(batch):
    scores, tags, images = batch
    labels = patch_labels(scores, tags, (3, 4), (12, 16), REFINE, images)
    small = F.interpolate(images, (12, 16), mode="bilinear", align_corners=True)
    assert torch.equal(labels, patch_labels(scores, tags, (3, 4), (12, 16), REFINE, small))


def test_nothing_is_kept_for_a_backward_pass(batch):
    scores, tags, images = batch
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda tensor: tensor):
        patch_labels(scores.requires_grad_(), tags, (3, 4), (24, 32), REFINE, images)
    assert saved == []


def test_refuses_bad_input():
    scores, tags = torch.rand(2, 12, 4), torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"scores: expected .* N = 9 patches, found \(2, 12, 4\)"):
        patch_labels(scores, tags, (3, 3), (24, 24))
    with pytest.raises(ValueError, match=r"scores: expected .*, found \(12, 4\)"):
        patch_labels(scores[0], tags, (3, 4), (24, 24))
    with pytest.raises(ValueError, match=r"tags: expected \(B, C\) = \(2, 3\), found \(2, 4\)"):
        patch_labels(scores, torch.ones(2, 4), (3, 4), (24, 32))
    with pytest.raises(ValueError, match=r"images: expected .*, found None"):
        patch_labels(scores, tags, (3, 4), (24, 32), REFINE)
    with pytest.raises(ValueError, match=r"images: expected .*, found \(3, 24, 32\)"):
        patch_labels(scores, tags, (3, 4), (24, 32), REFINE, torch.rand(3, 24, 32))
    with pytest.raises(ValueError, match=r"image: expected \(B, 3, H, W\), found \(2, 1, 24, 32\)"):
        patch_labels(scores, tags, (3, 4), (24, 32), REFINE, torch.rand(2, 1, 24, 32))
