"""How far a process says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.output.progress import TAIL, Progress, newest_progress, progress_in
from tests.growth import grows_like_its_input

PIP = "   ━━━━━━━━━━━━━━━━╺━━━━━━━━━━━━━━━━━ 3.2/10.0 MB 5.1 MB/s eta 0:00:02"
KERAS_3 = (
    "\x1b[1m25/100\x1b[0m \x1b[32m━━━━━\x1b[0m\x1b[37m━━━━━━━━━━━━━━━\x1b[0m \x1b[1m{}\x1b[0m 30ms/step - loss: 0.5"
)


@pytest.mark.parametrize(
    ("text", "fraction", "left"),
    [
        ("\r 36%|###  | 36/100 [00:10<00:18, 5.00it/s]\r 37%|###  | 37/100 [00:10<00:17, 5.00it/s]", 0.37, 17),
        ("loading: 100%|██████████| 1500/1500 [1:00:10<00:00, 5.00it/s]\n", 1.0, 0),
        ("  0%|          | 3/1000 [00:00<1:02:03, 5.0it/s]", 0.003, 3723),
        ("  0%|          | 0/3 [00:00<?, ?it/s]", 0.0, None),
        (" 33%|███▎      | 1.00M/3.00M [00:00<8:24:48, 99.0it/s]", 0.33, 30288),
        ("  0%|          | 500k/900M [00:01<10:00]", 0.0, 600),
        (" 37%|███▋      |", 0.37, None),
        ("3%|#|\r\n\x1b[32m 40%|####  |\x1b[0m 4/10 [00:01<00:02]", 0.4, 2),
        ("Epoch 4:  37%|###   | 37/100 [00:10<00:17, v_num=0, acc=97%]", 0.37, 17),
        ("step 3/10", 0.3, None),
        ("Processing step 3/10\n", 0.3, None),
        ("INFO: Steps: 1,500 / 3,000, loss=0.3", 0.5, None),
        ("Epoch 3/20\n", 0.15, None),
        ("Epoch [3/20], loss 0.4\n", 0.15, None),
        ("Epoch [3/20], Step [50/100], Loss: 0.1", 0.125, None),
        ("Epoch 1/4: 50%|#####     | 5/10 [00:01<00:02]", 0.125, None),
        ("Train Epoch: 1 [640/64000 (1%)]\tLoss: 2.3", 0.01, None),
        ("[3/10]", 0.3, None),
        ("[3/10] Building CXX object", 0.3, None),
        ("[ 37%] Building CXX object", 0.37, None),
        ("0/10\nfile 0/10", 0.0, None),
        ("37 %", 0.37, None),
        ("37%", 0.37, None),
        ("37.5%\n\n", 0.375, None),
        ("at 12% ... 37%.", 0.37, None),
        ("accuracy: 97%, 37% done", 0.37, None),
        ("total progress: 37%", 0.37, None),
        ("Receiving objects:  37% (37/100), 3.20 MiB | 5.10 MiB/s", 0.37, None),
        ("data.bin  37%[=====>       ]   3.70M  1.20MB/s    eta 17s", 0.37, 17),
        ("37% eta 1m 30s", 0.37, 90),
        ("25/100 [======>.......................] - ETA: 12s - loss: 0.5 - accuracy: 0.97", 0.25, 12),
        ("25/100 [======>.......................] - ETA: 1:12 - loss: 0.5", 0.25, 72),
        ("100/100 [==============================] - 3s 30ms/step - loss: 0.5", 1.0, None),
        (KERAS_3.format("12s"), 0.25, 12),
        (KERAS_3.format("1:12"), 0.25, 72),
        (PIP, 0.32, 2),
        (PIP.replace("0:00:02", "-:--:--"), 0.32, None),
        ("Working... ━━━━━━━━━╸━━━━━━━━━━━━━━  37% 0:00:17", 0.37, 17),
    ],
)
def test_progress(text: str, fraction: float, left: float | None) -> None:
    found = progress_in(text)
    assert found is not None
    assert found == (pytest.approx(fraction), left)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing at all\n" * 50,
        "on 24/11/2026 it ended",
        "step 3/11/2026",
        "[11/24 10:00:00 engine]: started",
        "a/b/3/4",
        "step a/b/3/4",
        "/data/step/3/4",
        "http://host/3/10",
        "http://host/a%20b%20%20c",
        "accuracy: 97%",
        "val_accuracy=97.1%",
        "test acc 97 %",
        "97% accuracy",
        "precision 12%; recall 30%; loss 3%",
        "CPU 93% memory: 12%",
        "used 37% of memory",
        "10 packets transmitted, 0% packet loss",
        "/dev/sda1  100G  37G  63G  37% /",
        "95% CI",
        "a change of +3%, then -4%, in all 5-10%",
        "137%",
        "step 10/3",
        "step 0/0",
        "[0/0]",
        "attempt [1/3]",
        "retry 1/3",
        "rank 0/4",
        "3/10",
        "3/10 of a mile",
        "step 3/10.5",
        "version 1.3/10",
        "\x1b[31m/\x1b[0m%",
        "step 99999999999999999999999/3",
    ],
)
def test_false_friends(text: str) -> None:
    assert progress_in(text) is None


def test_the_newest_wins() -> None:
    assert progress_in("step 9/10\nstep 1/2\nno more\n") == (0.5, None)
    assert progress_in(" 90%|#########|\nEpoch 1/2\n") == (0.5, None)
    assert progress_in("step 1/2\n" + "x" * 2000) is None
    assert progress_in("x" * 1990 + "step 1/2" + "y" * 1990 + "\n 37%") == (0.37, None)


def test_half_a_number_is_none() -> None:
    for start in ("\r", "\n", " "):
        for blanks in range(1980, 2001):
            assert progress_in(start + " 37%|###  |" + " " * blanks) in (None, (0.37, None))
    assert progress_in("37%" + "\n" * 1998) is None


def bar(name: str, done: int, total: int) -> str:
    """As tqdm draws it."""
    return (
        f"\r{name}: {100 * done // total:3d}%|{'#' * done:{total}s}| {done}/{total} [00:01<00:0{total - done}, 9.9it/s]"
    )


def inner(done: int, depth: int = 1) -> str:
    return "\n" * depth + bar(f"inner {depth}", done, 4) + "\x1b[A" * depth


def test_of_nested_bars_the_outer_one_is_meant() -> None:
    text = bar("outer", 1, 3) + "".join(map(inner, range(5)))
    assert progress_in(text) == (pytest.approx(1 / 3), 2)
    assert progress_in(text + "\n\r" + " " * 60 + "\x1b[A" + bar("outer", 2, 3)) == (pytest.approx(2 / 3), 1)
    assert progress_in(text + "\n" + bar("inner", 1, 4)) == (pytest.approx(1 / 3), 2), "caught while it is drawn"
    assert progress_in(bar("a", 1, 3) + inner(2) + inner(3, depth=2)) == (pytest.approx(1 / 3), 2)
    assert progress_in("log\n" * 9 + text) == (pytest.approx(1 / 3), 2)


def test_inner_bars_that_stay() -> None:
    text = bar("outer", 0, 3) + inner(3) + bar("inner 1", 4, 4) + "\n" + bar("outer", 1, 3)
    assert progress_in(text) == (pytest.approx(1 / 3), 2)
    assert progress_in(text + inner(0)) == (pytest.approx(1 / 3), 2)
    assert progress_in(text + inner(0) + inner(4)) == (pytest.approx(1 / 3), 2)


def test_an_inner_bar_alone_is_not_the_whole() -> None:
    assert progress_in(bar("outer", 1, 3) + "".join(map(inner, [1, 2, 3] * 30))) is None
    assert progress_in("".join(map(inner, [1, 2, 3]))) is None
    assert progress_in("".join(map(inner, [1, 2, 3]))[1:]) is None


def test_after_nested_bars() -> None:
    text = bar("outer", 2, 3) + inner(3) + bar("outer", 3, 3) + "\n"
    assert progress_in(text) == (1.0, 0)
    assert progress_in(text + "all done\nsaved\n") == (1.0, 0)
    assert progress_in(text + "evaluating\nstep 1/4\n") == (0.25, None)


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        (None, None, None),
        ("", "", None),
        ("step 3/10\n", None, 0.3),
        ("no", " 37%|###|", 0.37),
        ("step 3/10\n", " 37%|###  |", 0.37),  # an open line is being drawn
        ("\rstep 3/10", " 37%|###  |\n", 0.3),
        ("step 3/10\n", "100%|#####|\n", 0.3),  # a full bar has no more to say
        ("100%", "37%\n", 0.37),
        ("step 3/10\n", "37%\n", 0.37),
        ("37% eta 10s\n", "38%\n", 0.37),
        ("100%\n", "100%\n", 1.0),
    ],
)
def test_of_two_streams(stdout: str | None, stderr: str | None, expected: float | None) -> None:
    found = newest_progress(stdout, stderr)
    assert (found and found.fraction) == expected


@given(st.text(alphabet="0123456789%/|[]━=.<:,- \r\n\b\x1bAmeptsEoch", max_size=80))
def test_whatever_is_printed_it_is_a_share(text: str) -> None:
    found = progress_in(text)
    assert found is None or (isinstance(found, Progress) and 0 <= found.fraction <= 1 and (found.left or 0) >= 0)


@pytest.mark.parametrize("piece", ["1", "1/", "1,", "[", "step ", "9%|", "━ 1"])
def test_hostile_text_costs_little(piece: str) -> None:
    def read(text: str) -> None:
        for end in ("", "%", "/", "1/2"):
            progress_in(text + end + "/1")

    assert grows_like_its_input(read, piece, TAIL)
