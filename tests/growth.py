"""How a cost grows with its input, by the time that this thread had a processor: others may keep the machine busy."""

import time
from collections.abc import Callable


def grows_like_its_input(work: Callable[[str], object], piece: str, length: int) -> bool:
    """Whether a text of that length, made of pieces, costs about as much as eight texts of an eighth of it."""

    def cost(of_length: int) -> float:
        text, spent = (piece * of_length)[:of_length], []
        for _ in range(3):
            start = time.thread_time()
            for _ in range(length // of_length):
                work(text)
            spent.append(time.thread_time() - start)
        return min(spent)

    return cost(length) < 3 * cost(length // 8) + 0.01
