"""Whether a request waits for others to share its run: only as long as there are others."""

from __future__ import annotations

import asyncio

import numpy as np

from agiwb.serving.batcher import TickBatcher


class Asker:
    """Asks a batcher as the engine does, and counts the runs of those that waited."""

    def __init__(self, run_s=0.0):
        self.run_s = run_s
        self.batcher = TickBatcher(
            asyncio.get_running_loop(), lambda _, outcomes, settle: settle(outcomes)
        )
        self.waited = 0
        self.rows = []

    async def ask(self):
        inputs = {"x": np.ones((1, 1), np.float32)}
        if not self.batcher.expects_company(self.run_s):
            return self.run(inputs)
        self.waited += 1
        return await self.batcher.submit("key", self.run, inputs, 1, 256, None)

    def run(self, inputs):
        self.rows.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}

    async def ask_alone(self, times):
        for _ in range(times):
            await self.ask()

    async def ask_together(self, clients, times):
        for _ in range(times):
            answers = await asyncio.gather(*(self.ask() for _ in range(clients)))
            assert all(answer["y"].tolist() == [[2.0]] for answer in answers)


def test_a_client_that_is_alone_hardly_ever_waits():
    async def scenario():
        asker = Asker()
        await asker.ask_alone(100)
        asker.waited = 0
        await asker.ask_alone(320)
        return asker

    asker = asyncio.run(scenario())
    assert asker.waited == 20
    assert set(asker.rows) == {1}


def test_clients_that_come_together_share_runs_again_soon():
    async def scenario(clients):
        asker = Asker()
        await asker.ask_alone(100)
        await asker.ask_together(clients, 40)  # whatever their number, even the looks' own distance
        asker.rows.clear()
        await asker.ask_together(clients, 10)
        return asker.rows

    for clients in (2, 3, 16, 31, 32, 33):
        assert asyncio.run(scenario(clients)) == [clients] * 10


def test_beside_a_long_run_all_wait_so_that_a_burst_after_quiet_shares_its_first_run():
    async def scenario(run_s):
        asker = Asker(run_s)
        await asker.ask_alone(100)
        asker.rows.clear()
        await asker.ask_together(8, 1)
        return asker.rows

    assert asyncio.run(scenario(0.002)) == [8]
    assert len(asyncio.run(scenario(0.0))) > 1


def test_clients_that_begin_together_share_the_first_run():
    async def scenario():
        asker = Asker()
        await asker.ask_together(4, 1)
        return asker.rows

    assert asyncio.run(scenario()) == [4]
