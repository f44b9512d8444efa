import asyncio
import threading

import pytest

from netwright.serve._batching import Batcher
from netwright.serve._problems import RequestError


def run(work, use, **more):
    """Use a batcher inside an event loop of its own."""
    settings = {"most_rows": 8, "wait": 0.0, "most_waiting": 100, "time_limit": 20.0} | more

    async def main():
        batcher = Batcher(work, **settings)
        batcher.start()
        try:
            return await use(batcher)
        finally:
            await batcher.stop()

    return asyncio.run(main())


def test_rows_gather_while_a_batch_runs():
    sizes, go = [], threading.Event()

    def work(jobs):
        sizes.append(len(jobs))
        go.wait(10)
        return [2 * job for job in jobs]

    async def use(batcher):
        tasks = [asyncio.create_task(batcher.submit(i, 1)) for i in range(13)]
        while not sizes:
            await asyncio.sleep(0.001)
        go.set()
        return await asyncio.gather(*tasks)

    assert run(work, use) == [2 * i for i in range(13)]
    assert sum(sizes) == 13
    assert max(sizes) == 8  # never more than `most_rows`
    assert len(sizes) <= 3


def test_large_job_runs_alone_and_none_is_lost():
    seen = []

    def work(jobs):
        seen.append(sorted(jobs))
        return jobs

    async def use(batcher):
        return await asyncio.gather(*(batcher.submit(n, n) for n in (3, 20, 5, 4, 4)))

    assert run(work, use) == [3, 20, 5, 4, 4]
    assert [20] in seen
    assert all(sum(batch) <= 8 for batch in seen if batch != [20])


def test_a_wait_gathers_what_comes_a_little_later():
    sizes = []

    def work(jobs):
        sizes.append(len(jobs))
        return jobs

    async def use(batcher):
        first = asyncio.create_task(batcher.submit("a", 1))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(batcher.submit("b", 1))
        return await asyncio.gather(first, second)

    run(work, use, wait=5.0, most_rows=2)
    assert sizes == [2]


def test_full_queue_turns_away_and_says_when_to_come_again():
    go = threading.Event()

    def work(jobs):
        go.wait(10)
        return jobs

    async def use(batcher):
        tasks = [asyncio.create_task(batcher.submit(i, 1)) for i in range(10)]
        while batcher.waiting != 2:  # eight run
            await asyncio.sleep(0.001)
        with pytest.raises(RequestError) as caught:
            await batcher.submit(99, 9)
        go.set()
        await asyncio.gather(*tasks)
        return caught.value

    error = run(work, use, most_waiting=10)
    assert error.status == 429
    assert error.retry_after == 1


def test_time_limit_gives_up_and_skips_what_still_waits():
    seen, go = [], threading.Event()

    def work(jobs):
        seen.extend(jobs)
        go.wait(10)
        return jobs

    async def use(batcher):
        tasks = [asyncio.create_task(batcher.submit(i, 8)) for i in range(2)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        go.set()
        assert await batcher.submit("later", 1) == "later"
        return done

    done = run(work, use, time_limit=1.5)
    assert [error.status for error in done] == [503, 503]
    assert seen == [0, "later"]  # nobody waited for 1 any more


def test_fault_of_the_work_reaches_who_waits_and_the_queue_lives_on():
    def work(jobs):
        if "bad" in jobs:
            raise ZeroDivisionError
        return jobs

    async def use(batcher):
        with pytest.raises(ZeroDivisionError):
            await batcher.submit("bad", 1)
        return await batcher.submit("good", 1)

    assert run(work, use) == "good"


def test_answer_that_is_a_refusal_is_raised():
    async def use(batcher):
        with pytest.raises(RequestError, match="no"):
            await batcher.submit(1, 1)
        return batcher.is_running

    assert run(lambda jobs: [RequestError(422, "no")] * len(jobs), use)


def test_event_loop_stays_free():
    go = threading.Event()

    async def use(batcher):
        task = asyncio.create_task(batcher.submit(1, 1))
        for _ in range(5):  # while the work waits for the loop
            await asyncio.sleep(0.001)
        go.set()
        return await task

    assert run(lambda jobs: go.wait(10) and jobs, use) == 1


def test_inline_work_runs_in_the_loop_and_its_faults_reach_who_waits():
    threads = []

    def work(jobs):
        threads.append(threading.current_thread())
        if "bad" in jobs:
            raise ZeroDivisionError
        return jobs

    async def use(batcher):
        with pytest.raises(ZeroDivisionError):
            await batcher.submit("bad", 1)
        return await asyncio.gather(*(batcher.submit(i, 1) for i in range(20)))

    assert run(work, use, inline=True) == list(range(20))
    assert set(threads) == {threading.main_thread()}
    assert len(threads) <= 1 + 4  # 20 rows that came together, eight at a time


def test_inline_batch_is_what_has_come_meanwhile():
    sizes = []

    def work(jobs):
        sizes.append(len(jobs))
        return jobs

    async def use(batcher):
        alone = await batcher.submit(0, 1)
        many = await asyncio.gather(*(batcher.submit(i, 1) for i in range(13)))
        large = await asyncio.gather(batcher.submit("a", 5), batcher.submit("b", 20))
        return [alone, *many], large

    assert run(work, use, inline=True) == ([0, *range(13)], ["a", "b"])
    assert sizes == [1, 8, 5, 1, 1]  # eight rows at most; a larger job runs alone


def test_inline_queue_is_bounded_skips_who_gave_up_and_lets_others_have_their_turn():
    seen, turns = [], []

    def work(jobs):
        seen.extend(jobs)
        return jobs

    async def use(batcher):
        asyncio.get_running_loop().call_soon(turns.append, "before")
        tasks = [asyncio.create_task(batcher.submit(i, 4)) for i in range(6)]
        tasks[1].add_done_callback(lambda _: turns.append("first batch"))
        tasks[4].add_done_callback(lambda _: turns.append("last batch"))
        await asyncio.sleep(0)
        assert batcher.waiting == 20
        tasks[2].cancel()
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(turns.append, "between")
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert batcher.waiting == 0
        return found

    found = run(work, use, inline=True, most_waiting=20)
    assert found[:2] == [0, 1] and found[3:5] == [3, 4]
    assert isinstance(found[2], asyncio.CancelledError)
    assert isinstance(found[5], RequestError) and found[5].status == 429
    assert seen == [0, 1, 3, 4]
    assert turns.index("between") < turns.index("last batch")
