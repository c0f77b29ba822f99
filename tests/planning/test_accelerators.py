from __future__ import annotations

import pytest

from bayes_scaling.errors import InputError
from bayes_scaling.planning.accelerators import budget, rate

H100 = {"peak": 989e12, "mfu": 0.4}


def test_accelerators_and_hours_become_flops_and_back():
    speed = rate(**H100, price=2.0)
    flops = budget(speed, gpus=512, hours=720)
    assert flops == pytest.approx(512 * 720 * 3600 * 0.4 * 989e12)
    assert speed.hours(flops) == pytest.approx(512 * 720)
    assert speed.money(flops) == pytest.approx(2 * 512 * 720)
    assert budget(speed, money=2 * 512 * 720) == pytest.approx(flops)
    assert budget(speed, compute=1e23) == 1e23
    assert budget(rate()) is None
    assert rate().hours(1e23) is rate().money(1e23) is rate(**H100).money(1e23) is None


@pytest.mark.parametrize(
    ("of_rate", "asked", "said"),
    [
        ({}, {"gpus": 8, "hours": 10}, "a budget by gpus and hours is turned into FLOPs by peak and mfu"),
        ({}, {"gpus": 8}, "gpus is half of a budget; give hours too"),
        (H100, {"hours": 8}, "hours is half of a budget; give gpus too"),
        (H100, {"money": 1e6}, "money buys accelerator-hours at a price"),
        ({}, {"money": 1e6}, "a budget by money is turned into FLOPs by peak and mfu"),
        (
            H100,
            {"compute": 1e22, "gpus": 8, "hours": 10},
            "given 2 times, by compute, by gpus and hours; give it once",
        ),
        (H100, {"compute": 0.0}, "compute must be positive"),
        ({"peak": 1e15}, {}, "peak says what an accelerator does only with mfu"),
        ({"mfu": 0.4}, {}, "mfu says what an accelerator does only with peak"),
        ({"peak": 1e15, "mfu": 40.0}, {}, "mfu is a share of the peak, at most 1, such as 0.4, not 40"),
        ({"price": 2.0}, {}, "price is for an accelerator-hour: give peak and mfu"),
        ({**H100, "price": -2.0}, {}, "price must be positive"),
    ],
)
def test_half_a_budget_or_two_of_them_are_refused(of_rate: dict, asked: dict, said: str):
    with pytest.raises(InputError, match=said):
        budget(rate(**of_rate), **asked)
