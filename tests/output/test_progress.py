"""How far a process says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.output.progress import TAIL, Progress, fraction_at_end, newest_progress, piece_in, progress_in
from hopx_magics.words import Status
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
        ("Processing step 3/10\n", 0.2, None),
        ("INFO: Steps: 1,500 / 3,000, loss=0.3", 0.5, None),
        ("Epoch 3/20\n", 0.1, None),
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
    ("text", "fraction", "left"),
    [
        ("[Parallel(n_jobs=2)]: Done   9 out of  20 | elapsed:    0.9s remaining:    1.1s", 9 / 20, 1.1),
        ("[Parallel(n_jobs=12)]: Done  95 out of 100 | elapsed:  1.7min remaining:  1.2min", 0.95, 72),
        ("[Parallel(n_jobs=1)]: Done  20 out of  20 | elapsed:    2.0s finished", 1.0, None),
        ("[CV 1/5; 1/3] START C=1\n[Parallel(n_jobs=1)]: Done   1 out of   4 | elapsed:    1.0s", 0.25, None),
        ("Step 30 of 100", 0.3, None),
        ("building tree 95 of 200", 94 / 200, None),
        ("Epoch: [0][ 100/5005]\tTime  0.337 ( 0.525)\tData  0.001 ( 0.060)\tLoss 6.9e+00", 100 / 5005, None),
        ("Train: 0 [ 450/1251 ( 36%)]  Loss: 6.92 (6.94)  Time: 0.337s, 759.38/s  LR: 1.000e-06", 450 / 1251, None),
        ("INFO  Train:    1/3 ( 33%) [  49/323 ( 15%)]  Loss: 36.77 (81.7)  LR: 1.351e-04", 49 / 323, None),
        ("mmdet - INFO - Epoch [1][2400/7517]\tlr: 0.00125, eta: 4:33:09, time: 0.595", 2400 / 7517, 16389),
        ("mmdet - INFO - Epoch [1][15/678]\tlr: 0.00020, eta: 1 day, 16:21:05, time: 1.269", 15 / 678, 145265),
        ("06/02 12:00:00 - mmengine - INFO - Epoch(train)   [1][ 50/7330]  lr: 1.9e-03", 50 / 7330, None),
        (
            "07/11 10:00:00 - mmengine - INFO - Iter(train) [  50/40000]  lr: 1e-2  eta: 2 days, 1:00:00",
            1 / 800,
            176400,
        ),
        (" iteration      182/  250000 | consumed samples:       186368 | elapsed time", 182 / 250000, None),
        ("Epoch 0:  22%|██▏       | 4/18 [00:17<01:02,  4.47s/it, loss=10.072, v_num=193315]", 4 / 18, 62),
        ("Epoch 4    --------------- ---- 232/291 0:00:33 • 0:00:09 7.00it/s loss: 0.398", 232 / 291, 9),
        ("Epoch 4/4  ━━━━━━━━━━╸━━━━━━ 145/290 0:00:33 • 0:00:09 7.00it/s v_num: 0.000", 3.5 / 4, None),
        ("{'loss': 0.5, 'learning_rate': 4.9e-05, 'epoch': 0.3}\n 10%|█    | 50/500 [00:10<01:30, 5.0it/s]", 0.1, 90),
        (" 10%|█    | 50/500 [00:10<01:30, 5.0it/s]{'loss': 0.5, 'grad_norm': 97.0, 'epoch': 0.3}", 0.1, 90),
        ("Epoch 2/10\n100/100 - 3s - 30ms/step - accuracy: 0.97 - loss: 0.5\n", 0.2, None),
        ("6:\tlearn: 0.387\ttest: 0.4\tbest: 0.4 (6)\ttotal: 250ms\tremaining: 750ms", 0.25, 0.75),
        ("14:     learn 0.27       total: 7m 15s    remaining: 21m 45s", 0.25, 1305),
        ("999:\tlearn: 0.1\ttotal: 12.5s\tremaining: 0us", 1.0, 0),
        (" 45.00% [9/20 00:05<00:06 2.3]", 0.45, 6),
        ("Epoch 2/5 : |██████████----------| 50.00% [10/20 00:05<00:06 2.3]", 0.3, None),
        (
            "    70/100      6.73G      1.081     0.4706      1.08     10    640:  50%|█████     | 8/16 [00:05<00:05]",
            0.695,
            None,
        ),
        (
            "  151/200      10.4G     0.46     0.23      640: 100%|██████████| 99/99 [01:52<00:00,  1.14s/it]",
            151 / 200,
            None,
        ),
        (
            "      4/300         0G      3.661      5.701       4.24      213      640: 50% ━━━━━━────── 4/8 0.1it/s",
            3.5 / 300,
            None,
        ),
        ("[########                                ] | 20% Completed | 101.2 ms", 0.2, None),
        ("    152,922,494  99%   19.38MB/s    0:00:07 (xfr#16291, to-chk=0/17711)   ", 0.99, None),
        ("      1,234,567 100%   19.38MB/s    0:00:00 (xfr#5, to-chk=100/400)", 0.75, None),
        ("  5000K .......... .......... .......... ..........  37% 1.20M 8s", 0.37, None),
        ("numpy-2.1.0          | 7.9 MB    | ####5      |  45% ", 0.45, None),
        ("    Building [=======>                   ] 37/100: serde, syn", 0.37, None),
        ("tests/test_load.py .........                                             [ 37%]", 0.37, None),
    ],
)
def test_what_programs_print(text: str, fraction: float, left: float | None) -> None:
    found = progress_in(text)
    assert found is not None
    assert found.fraction == pytest.approx(fraction)
    assert found.left == (left and pytest.approx(left))


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("Epoch 1/1\n", 0),
        ("Epoch 3/3", 2 / 3),
        ("Epoch 1/1\nloading\n", 0),
        ("Epoch 3/3: loss 0.4, took 12 s", 1),
        ("Epoch 3/3 done", 1),
        ("Starting epoch 3/3 with val_loss 0.5", 2 / 3),
        ("Epoch 1/1 lr=0.1", 0),
        ("Epoch 0/2", 0),
        ("--- Epoch 3 of 3 ---", 2 / 3),
        ("Epochs: 3/10", 0.3),
        ("Fold 5/5", 0.8),
        ("Fold 2/5, epoch 3/10, step 5/10", (1 + 0.25) / 5),
        ("Downloading file 1/1: a.csv", 0),
        ("Downloaded file 1/1: a.csv", 1),
        ("Processing images [3/10]", 0.2),
        ("Processing images [3/10] ... done", 0.3),
        ("[3/10] Building CXX object", 0.3),
        ("Epoch 2/4\n\r10/100 ━━━━ 12s\r50/100 ━━━━ 12s", 0.375),
        ("Epoch 1/1\n\r10/100 ━━━━ 12s\r50/100 ━━━━ 12s", 0.5),
        ("Epoch 2/4\n\r100/100 ━━━━ 12s 3ms/step - loss: 0.4\n", 0.5),
        ("Epoch 2/4, loss 0.4\n 50%|#####     | 5/10 [00:01<00:02]", 0.625),
        ("Epoch 4/4, loss 0.4\n 50%|#####     | 5/10 [00:01<00:02]", 0.5),
        ("Epoch 2/4\nEpoch 3/4\n", 0.5),
        ("Epoch 3/3 : |████| 100.00% [20/20 00:00<00:00]\rEpoch 3/3 :" + " " * 60 + "\repoch 2 loss 0.3\n", 1),
        ("Fold 2/5\nstep 5/10", 0.3),
        (
            "    70/100   6.73G    640: 100%|#| 16/16 [00:05<00:00]\n   Class Images  mAP50): 50%|#| 4/8 [00:03<00:00]",
            0.7,
        ),
    ],
)
def test_what_has_begun_is_not_done(text: str, fraction: float) -> None:
    found = progress_in(text)
    assert found is not None
    assert found.fraction == pytest.approx(fraction)


def test_an_epoch_that_is_named_far_above() -> None:
    bars = "".join(f"\r{step}/1000 ━━━━ 12s" for step in range(1, 501))
    assert len(bars) > 3 * TAIL
    assert progress_in("Epoch 1/4\nEpoch 2/4\n" + bars) == (0.375, None)
    assert progress_in("Epoch 2/4, loss: 0.3\n" + bars) == (0.625, None)
    assert progress_in("Epochs are many\n" + bars) == (0.5, 12)
    assert newest_progress("Epoch 2/4\n" + "log\n" * 1000, bars) == (0.375, None)


def test_a_piece_that_is_no_longer_seen() -> None:
    bar = "\r50/100 ━━━━ 12s"
    piece = piece_in("Epoch 2/4\n" + bar)
    assert piece == (0.25, 0.25)
    assert progress_in(bar, piece) == (0.375, None)
    assert progress_in("Epoch 3/4\n" + bar, piece) == (0.625, None), "what is seen counts more"
    assert newest_progress("Epoch 2/4\n", bar) == (0.375, None), "bars go to stderr"
    full = "100%|##########| 10/10 [00:01<00:00]\n"
    assert newest_progress("Epoch 2/4\n", full) == (0.25, None), "which may be that of the epoch before"
    assert piece_in("nothing") is None
    assert piece_in("step 3/10") is None


def rich_frame(*lines: str) -> str:
    return "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (len(lines) - 1) + "\n".join(lines)


def test_of_rich_bars_the_first_unfinished_one_is_meant() -> None:
    row = "{} \x1b[38;5;197m━━━━━━\x1b[0m\x1b[38;5;237m╺━━━━\x1b[0m \x1b[35m{}%\x1b[0m \x1b[36m0:00:17\x1b[0m"
    before = rich_frame(row.format("all", 10), row.format("part", 90))
    assert progress_in(before + rich_frame(row.format("all", 20), row.format("part", 0))) == (0.2, 17)
    assert progress_in(before + rich_frame(row.format("load", 100), row.format("fit", 40))) == (0.4, 17)
    assert progress_in(before + rich_frame(row.format("all", 100), row.format("part", 100)) + "\n") == (1.0, 0)


@pytest.mark.parametrize(
    ("fraction", "status", "shown"),
    [
        (0.8, "completed", 1.0),
        (1.0, "completed", 1.0),
        (0.8, "failed", 0.8),
        (1.0, "failed", 0.99),
        (1.0, "killed", 0.99),
        (0.8, "unknown", 0.8),
    ],
)
def test_what_is_shown_of_what_has_ended(fraction: float, status: Status, shown: float) -> None:
    assert fraction_at_end(fraction, status) == shown


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
        "2024/10/12 12:00:00 started",
        "1/2 cup",
        "add 1/2 cup of 3/4 milk",
        "page 1 of Ulysses, 12 of 20 October",
        "1 of 3 tests failed",
        "version 2 of 3",
        "Attempt 1 of 3",
        "python 3.11/3.12",
        "file.py:3/10",
        "- [ ] 3/10 cups",
        "[0]\ttrain-rmse:0.5\teval-rmse:0.6",
        "[10]\tvalid_0's l2: 0.24",
        "[Parallel(n_jobs=18)]: Done  14 tasks      | elapsed:  1.5min",
        "time remaining: 5s",
        "   Class     Images  Instances      Box(P  mAP50-95): 100%|#####| 8/8 [00:03<00:00]",
        "  % Total    % Received % Xferd  Average Speed",
        "ratio 16/9, 24/7, 50/50",
        "and/or 1/0",
    ],
)
def test_false_friends(text: str) -> None:
    assert progress_in(text) is None


def test_the_newest_wins() -> None:
    assert progress_in("step 9/10\nstep 1/2\nno more\n") == (0.5, None)
    assert progress_in(" 90%|#########|\nstep 1/2\n") == (0.5, None)
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


@given(st.text(alphabet="0123456789%/|[]━=.<:,- \r\n\b\x1bAmeptsEoch()f", max_size=80))
def test_whatever_is_printed_it_is_a_share(text: str) -> None:
    found = progress_in(text)
    assert found is None or (isinstance(found, Progress) and 0 <= found.fraction <= 1 and (found.left or 0) >= 0)


@pytest.mark.parametrize(
    "piece", ["1", "1/", "1,", "[", "step ", "9%|", "━ 1", "1 of ", "1   ", "> ", "- ", "Epoch 1/2 ", "total: 1s "]
)
def test_hostile_text_costs_little(piece: str) -> None:
    def read(text: str) -> None:
        for end in ("", "%", "/", "1/2", "remaining:"):
            progress_in(text + end + "/1")

    assert grows_like_its_input(read, piece, TAIL)
