"""Attention on objects: by hand, at its ends, and for chance."""

import pytest
import torch

from wsss.methods.attention import normalise_rows
from wsss.methods.object_attention import attention_on_objects, token_owners


def test_a_token_belongs_to_what_covers_half_of_it() -> None:
    mask = torch.zeros(4, 6, dtype=torch.uint8)
    mask[:2, :1] = 3  # half of the first token
    mask[2:, 0] = 1  # a quarter each: nobody owns it ...
    mask[2:, 3:6] = 2  # half of the second, all of the third
    mask[3, 0] = 0
    assert token_owners(mask, 2).tolist() == [3, 0, 0, 0, 2, 2]


def test_the_rim_beyond_the_image_is_ground() -> None:
    assert token_owners(torch.ones(3, 3), 2).tolist() == [1, 1, 1, 0]
    assert token_owners(torch.zeros(3, 3), 2).tolist() == [0, 0, 0, 0]


def test_by_hand() -> None:
    A = torch.tensor([[0.7, 0.2, 0.0, 0.1], [0.2, 0.4, 0.4, 0.0], [0.1, 0.1, 0.4, 0.4], [0.1, 0.1, 0.4, 0.4]])
    found = attention_on_objects(A, torch.tensor([5, 5, 0, 2]))
    assert found is not None
    assert found.kept == pytest.approx(((0.9 + 0.6) / 2 + 0.4) / 2)  # rows 0 and 1 on 0 and 1; row 3 on 3
    assert found.drawn == pytest.approx(((0.2 + 0.2) / 2 + (0.1 + 0.0 + 0.4) / 3) / 2)
    assert found.chance == pytest.approx((2 / 4 + 1 / 4) / 2)
    # By Eq. 6 S_01 = .66, S_02 = .61 and S_12 = .74: the co-neighbour of token 1 is not of its object.
    assert found.neighbours == pytest.approx(((2 + 1) / 4 + 1) / 2)


def test_even_attention_gives_chance_and_closed_attention_all() -> None:
    owners = torch.tensor([1] * 3 + [2] * 5 + [0] * 8)
    even = attention_on_objects(torch.full((16, 16), 1 / 16), owners)
    assert even is not None
    assert even.kept == pytest.approx(even.chance)
    assert even.drawn == pytest.approx(even.chance)
    closed = attention_on_objects(normalise_rows((owners[:, None] == owners).float()), owners)
    assert closed is not None
    assert closed.kept == pytest.approx(1)
    assert closed.drawn == 0
    assert closed.neighbours == pytest.approx(1)


def test_a_hub_draws_as_much_as_it_keeps() -> None:
    A = torch.full((6, 6), 0.1)
    A[:, 2] = 0.5
    found = attention_on_objects(A, torch.tensor([0, 0, 1, 1, 0, 0]))
    assert found is not None
    assert found.kept == pytest.approx(0.6)
    assert found.drawn == pytest.approx(0.6)


def test_no_object_gives_nothing_and_a_wrong_length_is_refused() -> None:
    assert attention_on_objects(torch.eye(3), torch.zeros(3)) is None
    assert attention_on_objects(torch.eye(3), torch.ones(3)) is None
    with pytest.raises(ValueError, match=r"owners: expected \(3,\), found \(4,\)"):
        attention_on_objects(torch.eye(3), torch.zeros(4))
