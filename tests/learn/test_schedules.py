import pytest
import torch

from netwright.learn import cosine, one_cycle

N_STEPS = 101


@pytest.mark.oracle
def test_one_cycle_agrees_with_torch():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    # torch places the peak at step `pct_start * n - 1` of 0..n-1; this puts it at 0.3 of progress.
    peak = (0.3 * (N_STEPS - 1) + 1) / N_STEPS
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=N_STEPS, pct_start=peak
    )
    for step in range(N_STEPS):
        ours = one_cycle(step / (N_STEPS - 1))
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)  # float64 rounding
        optimizer.step()
        if step < N_STEPS - 1:
            schedule.step()


@pytest.mark.oracle
def test_cosine_agrees_with_torch():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_STEPS - 1)
    for step in range(N_STEPS):
        ours = cosine(step / (N_STEPS - 1))
        # torch's is a recursion of 100 products
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("schedule", [one_cycle, cosine])
@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan")])
def test_progress_outside_the_training_is_an_error(schedule, progress):
    with pytest.raises(ValueError, match="`progress` must be a share of the training"):
        schedule(progress)
