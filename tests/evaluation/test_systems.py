"""Finding a system's files among many."""

from wsss.evaluation.systems import find_below


def test_a_file_that_several_systems_share_is_found_once() -> None:
    shared = ["results/toy/seed0/apc/maps/b", "results/toy/seed0/apc/maps/a"]
    others = ["results/toy/seed1/apc/maps/a", "results/toy/seed0/apc_max/maps/a"]
    assert find_below([*shared, *others, *shared], 0, "apc/maps") == shared
