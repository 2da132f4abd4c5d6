"""A Ray cluster, on loopback: beside what its own head takes for an answer."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

import hopx_magics as hopx
from tests.standins.ray_head import RAY, RayHead
from tests.waiting import DEADLINE

from .measure import Skipped, medians
from .places import environment, own_place
from .report import Row, ratio


@contextmanager
def cluster() -> Iterator[httpx.Client]:
    """A cluster, which is the current connection, and what asks its head without us."""
    if not RAY.exists():
        raise Skipped("no Ray: pip install 'hopx_magics[test-ray]'")
    head = RayHead()
    try:
        head.start()
        authorization = {"Authorization": f"Bearer {head.token}"}
        with (
            own_place(),
            environment(RAY_AUTH_TOKEN=head.token),
            httpx.Client(base_url=head.url, headers=authorization, timeout=DEADLINE, trust_env=False) as client,
        ):
            hopx.connect(f"ray {head.url}")
            yield client
    finally:
        head.close()


def asking(smallest: bool) -> Iterator[Row]:
    """A launch, and the jobs of a cluster as a DataFrame, with all that a run has that was launched from here."""
    count, rounds = (10, 1) if smallest else (1_000, 15)
    with cluster() as client:
        hopx.launch("1").wait()  # the first one waits for Ray to be ready, and sends the runner
        numbers = itertools.count()
        ours, theirs = medians(
            lambda: hopx.launch("1", cpus=1_000), lambda: _submit(client, next(numbers)), rounds=rounds
        )
        yield ratio("a launch to its reply", ours, "the submission itself", theirs)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: _submit(client, number), itertools.islice(numbers, count)))
        ours, theirs = medians(lambda: hopx.ps(output="none"), lambda: client.get("/api/jobs/"), rounds=rounds)
        yield ratio(f"{count:,} jobs into a DataFrame", ours, "the request itself", theirs, "1.2")


def _submit(client: httpx.Client, number: int) -> None:
    """A job that waits for more processors than there are."""
    metadata = {"hopx_run": f"{number:016x}", "hopx_language": "python", "job_name": f"fit-{number}", "param.lr": "0.1"}
    job = {"entrypoint": "true", "submission_id": f"hopx-{number:016x}", "metadata": metadata}
    client.post("/api/jobs/", json={**job, "entrypoint_num_cpus": 1_000}).raise_for_status()


MEASUREMENTS = {"asking": asking}
