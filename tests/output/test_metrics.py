"""The numbers that programs name in what they print, in the words of those programs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.output.metrics import Finder, Metric, metrics_in
from tests.growth import grows_like_its_input


def named(text: str, pattern: str | None = None) -> list[tuple[str, float]]:
    return [(name, value) for name, value, _ in metrics_in(text, pattern)]


def last(text: str) -> dict[str, float]:
    return dict(named(text))


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        ("Accuracy: 0.95", {"Accuracy": 0.95}),
        ("loss=0.31", {"loss": 0.31}),
        ("loss = 3.1e-4", {"loss": 3.1e-4}),
        ("loss : -.5", {"loss": -0.5}),
        ("eval_loss               =     0.4627", {"eval_loss": 0.4627}),
        ("val_loss 0.31", {"val_loss": 0.31}),
        ("accuracy    0.95", {"accuracy": 0.95}),
        ("loss: nan, acc: -inf", {"loss": math.nan, "acc": -math.inf}),
        ("accuracy: 95.2%", {"accuracy": 95.2}),
        ("Loss: 0.3 | Acc: 95.200% (1904/2000)", {"Loss": 0.3, "Acc": 95.2}),
        ("Mean squared error: 0.1", {"Mean squared error": 0.1}),
        ("Accuracy (%): 95.2", {"Accuracy (%)": 95.2}),
        ("train/loss: 0.3 mAP@.5: 0.7", {"train/loss": 0.3, "mAP@.5": 0.7}),
        ("précision: 0.9", {"précision": 0.9}),
        ("n_trees=100", {"n_trees": 100}),
        ("loss: 0.31.", {"loss": 0.31}),
        ("loss: 0.31: 100%|####|", {"loss": 0.31}),
        ("accuracy: 0.95 (+/- 0.02)", {"accuracy": 0.95}),
        ("acc: 0.95* f1: 0.5±0.1", {"acc": 0.95, "f1": 0.5}),
        ("loss: tensor(0.3456, device='cuda:0', grad_fn=<NllLossBackward0>)", {"loss": 0.3456}),
        ("f1: np.float64(0.5)", {"f1": 0.5}),
        ("step 3/20 loss=0.31", {"loss": 0.31}),
        ("final model loss=0.3", {"loss": 0.3}),
        ("final model loss = 0.3", {"final model loss": 0.3}),
        ("train loss=0.3 val loss=0.4", {"train loss": 0.3, "val loss": 0.4}),
        ("Epoch [3/20], Step [50/100], Loss: 0.1", {"Loss": 0.1}),
        ("step 0: train loss 4.2874, val loss 4.2823", {"train loss": 4.2874, "val loss": 4.2823}),
        ("[1,  2000] loss: 2.173", {"loss": 2.173}),
        ("Train Epoch: 1 [640/64000 (1%)]  Loss: 2.3", {"Loss": 2.3}),
        ("Epoch: [0][10/1251]  Time 0.5 (0.6)  Loss 6.9 (6.95)  Acc@1 0.39 (0.2)", {"Loss": 6.9, "Acc@1": 0.39}),
        ("Test set: Average loss: 0.0265, Accuracy: 9912/10000 (99%)", {"Average loss": 0.0265}),
        ("Training has finished with a final test accuracy: 0.95", {"final test accuracy": 0.95}),
        ("2024-01-01 12:00:00,123 INFO loss: 0.3", {"loss": 0.3}),
        ("2024-01-01 12:00:00,123 - root - INFO - test acc: 0.3", {"test acc": 0.3}),
        ("2024-01-01T12:00:00Z | INFO | __main__:main:12 - loss: 0.3", {"loss": 0.3}),
        ("INFO:root:loss: 0.4", {"loss": 0.4}),
        ("wandb:     eval/accuracy 0.95", {"eval/accuracy": 0.95}),
        ("Error: 0.02", {"Error": 0.02}),
    ],
)
def test_a_line(line: str, metrics: dict[str, float]) -> None:
    assert last(line) == pytest.approx(metrics, nan_ok=True)


@pytest.mark.parametrize(
    "line",
    [
        "at 12:30:01",
        "time: 12:30",
        "2024-01-01",
        "date: 2024-01-01",
        "time: 1704110400",
        "timestamp=1704110400.5",
        "total time=   0.1s",
        "took: 12ms",
        "eta: 12 s",
        "version 1.2.3",
        "version: 1.2.3",
        "Python version: 3.11",
        "server on 127.0.0.1:5000 and localhost:8080",
        "host=10.0.0.1",
        "File main.py:12: in loss",
        "Epoch 3/20",
        "Epoch: 3",
        "step: 5/10",
        "global_rank: 0, seed=42",
        "LOCAL_RANK: 0 - CUDA_VISIBLE_DEVICES: [0]",
        "hash: 0x1f",
        "http://host:8080/a?lr=0.1&b=2",
        "/data/lr=0.1/part=2.parquet",
        "saved epoch=3-val_loss=0.31.ckpt",
        "samples: 10,000",
        "Total params: 1,234 (4.8 KB)",
        "the loss 3 times",
        "I have seen that the number of cats is: 5",
        "KeyError: 3",
        "KeyError: 0.3",
        "ValueError: 0.5 is too large: 0.3",
        "RuntimeError: expected loss: 0.3, got accuracy: 0.2",
        "torch.OutOfMemoryError: CUDA out of memory, total capacity: 14.5",
        "mylib.errors.TooLarge: x",
        "E       AssertionError: loss: 0.3",
        "  | ValueError: loss = 0.3",
        "/x/y.py:12: UserWarning: loss=0.3 is low",
        "MyError: could not converge, loss: 0.3",
        "Error: score = 3 at 5",
        "error: exit code: 1",
        "train.py: error: argument --lr: 0.3",
        "fatal: loss too large: 0.3",
        "panic: runtime error: index out of range [5] with length: 3",
        "2026-11-26 12:00:00,123 ERROR root: could not converge: 0.3",
        "ERROR:root:loss: 0.3",
        "x >= 0.5, y == 3, z += 1",
        "train: 45%|####     | 45/100 [00:01<00:02]",
        "progress: 45%",
        "remote: Compressing objects: 100% (3/3), done.",
        "python train.py --lr=0.1 --epochs=10",
        "LogisticRegression(C=1.0, max_iter=100)",
        "GridSearchCV(cv=2, estimator=SVC(), param_grid={'C': [1]}, verbose=10)",
        "             gamma=0.1, verbose=10)",
        "  (0): Linear(in_features=784, out_features=128, bias=True)",
        "| 0 | layer | Linear | 100 |",
        "Config: {'lr': 0.1, 'seed': 1}",
        "INFO 5",
        "ERROR: 5",
        "= 0.3",
        ": 0.3",
        "",
    ],
)
def test_false_friends(line: str) -> None:
    assert named(line) == []


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        ("MeanSquaredError: 0.3, MeanAbsoluteError: 0.2", {"MeanSquaredError": 0.3, "MeanAbsoluteError": 0.2}),
        ("error: train=0.3 test=0.4", {"train": 0.3, "test": 0.4}),
        ("WARNING loss: 0.3", {"loss": 0.3}),
    ],
)
def test_what_is_called_an_error_and_is_a_metric(line: str, metrics: dict[str, float]) -> None:
    assert dict(named(line)) == metrics


def test_the_texts_of_errors_and_warnings_are_no_metrics() -> None:
    log = """
loss: 0.9
Traceback (most recent call last):
  File "/x/cell.py", line 3, in <module>
    loss = 0.5

  File "/x/cell.py", line 12, in fit
    raise TooLarge(f"loss = {loss}, lr: 0.1")
TooLarge: loss = 0.5, lr: 0.1
acc: 0.4
/x/y.py:12: UserWarning: loss=0.3 is low
  warnings.warn("loss=0.3")
  f1: 0.8
  + Exception Group Traceback (most recent call last):
  |   File "/x/cell.py", line 3, in <module>
  |     loss = 0.5
  | ExceptionGroup: several (1 sub-exception)
loss: 0.1
"""
    assert [(metric.name, metric.value) for metric in metrics_in(log)] == [
        ("loss", 0.9),
        ("acc", 0.4),
        ("f1", 0.8),
        ("loss", 0.1),
    ]


def test_json_lines() -> None:
    log = """
loading
{"epoch": 1, "loss": 0.9, "done": false, "name": "a", "eval": {"acc": 0.5, "best": {"acc": 0.5}}, "preds": [1, 2]}
{"epoch": 2, "loss": 0.5, "done": false, "name": "b", "eval": {"acc": 0.6, "best": {"acc": 0.6}}, "preds": [1, 2]}
{"epoch": 3, "loss": NaN, "done": true, "name": "c", "eval": {"acc": 0.7, "best": {"acc": 0.7}}, "preds": []}
{"event": "saved", "timestamp": 1704110400.5, "pid": 7}
2024-01-01 12:00:00 INFO {"final": 1e400}
{
  "test_acc": 0.95,
  "test_loss": 0.2
}
"""
    found = [(name, line) for name, _, line in metrics_in(log)]
    epoch = ["epoch", "loss", "eval.acc", "eval.best.acc"]
    assert found == [(name, line) for line in (3, 4, 5) for name in epoch] + [
        ("final", 7),
        ("test_acc", 9),
        ("test_loss", 10),
    ]
    assert last(log)["eval.best.acc"] == 0.7
    assert math.isnan(last(log)["loss"])
    assert last(log)["final"] == math.inf


def test_much_json_is_data_and_no_metrics() -> None:
    assert len(named("{" + ", ".join(f'"user{number}": {number}' for number in range(100)) + "}")) == 100
    assert named("{" + ", ".join(f'"user{number}": {number}' for number in range(101)) + "}") == []


def test_names_and_depth_of_json_are_bounded() -> None:
    assert named('{"' + "x" * 1000 + '": 1}') == [("x" * 120, 1)]
    assert named('{"": 1, "\\u0000": 2, " a  b ": 3}') == [("a b", 3)]
    assert named('{"a": ' * 9 + "1" + "}" * 9) == [("a.a.a.a.a.a.a.a.a", 1)]
    assert named('{"a": ' * 10 + "1" + "}" * 10) == []
    assert named('{"a": ' * 1500 + "1" + "}" * 1500) == []


def test_of_the_hugging_face_trainer() -> None:
    log = """
***** Running training *****
  Num examples = 1,000
  Num Epochs = 3
  Instantaneous batch size per device = 8
  0%|          | 0/375 [00:00<?, ?it/s]
{'loss': 0.6931, 'grad_norm': 1.25, 'learning_rate': 4e-05, 'epoch': 1.0}
{'eval_loss': 0.512, 'eval_accuracy': np.float64(0.75), 'eval_runtime': 1.2, 'epoch': 1.0}
{'loss': '0.41', 'grad_norm': nan, 'learning_rate': '2e-05', 'epoch': '2.0'}
{'eval_loss': 0.4, "it's": inf, 'eval_accuracy': tensor(0.8125, device='cuda:0'), 'shape': (1, 2), 'epoch': 2.0}
{'train_runtime': 12.5, 'train_loss': 0.55, 'epoch': 3.0}
***** eval metrics *****
  epoch                   =        3.0
  eval_accuracy           =     0.8627
  eval_runtime            = 0:00:01.51
  eval_samples_per_second =     90.345
"""
    assert last(log) == pytest.approx(
        {
            "loss": 0.41,
            "grad_norm": math.nan,
            "learning_rate": 2e-05,
            "epoch": 3.0,
            "eval_loss": 0.4,
            "eval_accuracy": 0.8627,
            "eval_runtime": 1.2,
            "it's": math.inf,
            "train_runtime": 12.5,
            "train_loss": 0.55,
            "eval_samples_per_second": 90.345,
            "Instantaneous batch size per device": 8,
        },
        nan_ok=True,
    )
    assert named(log).count(("epoch", 1.0)) == 2


def test_of_keras() -> None:
    def bar(done: int, shown: str) -> str:
        return f"\r\x1b[1m{done}/10\x1b[0m \x1b[32m━━━━━\x1b[0m\x1b[37m━━━\x1b[0m \x1b[1m1s\x1b[0m 5ms/step - {shown}"

    log = "".join(
        f"Epoch {epoch}/3\n"
        + bar(1, "accuracy: 0.1000 - loss: 9.0000")
        + bar(5, "accuracy: 0.2000 - loss: 8.0000")
        + bar(10, f"accuracy: 0.{epoch}500 - loss: {3 - epoch}.3000 - val_loss: 0.4000")
        + "\n"
        for epoch in (1, 2, 3)
    )
    assert metrics_in(log)[:3] == [
        Metric("accuracy", 0.15, 2),
        Metric("loss", 2.3, 2),
        Metric("val_loss", 0.4, 2),
    ]
    assert len(metrics_in(log)) == 9
    assert last(log) == {"accuracy": 0.35, "loss": 0.3, "val_loss": 0.4}
    old = "10/10 [==============================] - 1s 5ms/step - loss: 0.5 - acc: 0.9"
    assert last(old) == {"loss": 0.5, "acc": 0.9}


def test_of_tqdm_and_lightning() -> None:
    bars = "".join(
        f"\rEpoch 1: {10 * done}%|{'#' * done}| {done}/10 [00:01<00:00,  9.9it/s, v_num=3, train_loss={done / 10}]"
        for done in range(11)
    )
    log = f"""GPU available: False, used: False
LOCAL_RANK: 0 - CUDA_VISIBLE_DEVICES: [0]

  | Name  | Type   | Params | Mode
-----------------------------------------
0 | layer | Linear | 7.9 K  | train
-----------------------------------------
7.9 K     Trainable params
0.031     Total estimated model params size (MB)
{bars}
────────────────────────────────────────────────────────
       Test metric             DataLoader 0
────────────────────────────────────────────────────────
        test_acc            0.9512000083923340
        test_loss           0.1623000055551528
────────────────────────────────────────────────────────
┏━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓
┃    Test metric    ┃   DataLoader 0    ┃   DataLoader 1    ┃
┡━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩
│        auc        │       0.91        │                   │
│        f1         │                   │       0.5         │
│                   │       0.1         │       0.2         │
└───────────────────┴───────────────────┴───────────────────┘
-----------------------------------
|  Validate metric |  DataLoader 0 |
-----------------------------------
|     val_acc      |      0.9      |
|     \u200b            |      0.9      |
-----------------------------------
"""
    assert metrics_in(log) == [
        Metric("train_loss", 1.0, 10),
        Metric("test_acc", 0.951200008392334, 14),
        Metric("test_loss", 0.1623000055551528, 15),
        Metric("auc DataLoader 0", 0.91, 20),
        Metric("f1 DataLoader 1", 0.5, 21),
        Metric("val_acc", 0.9, 27),
    ]


def test_of_boosted_trees() -> None:
    log = """
[0]\ttrain-logloss:0.48000\teval-logloss:0.50000
[1]\ttrain-logloss:0.38000\teval-logloss:0.41000
[2]\ttrain-logloss:0.31000+0.00100\teval-logloss:0.40000+0.00200
[LightGBM] [Info] Total Bins 5676
Training until validation scores don't improve for 2 rounds
[10]\tvalid_0's auc: 0.95\tvalid_0's binary_logloss: 0.48
[20]\tvalid_0's auc: 0.96\tvalid_0's binary_logloss: 0.41
Early stopping, best iteration is:
[20]\tvalid_0's auc: 0.96\tvalid_0's binary_logloss: 0.41
0:\tlearn: 0.6931\ttest: 0.69\tbest: 0.69 (0)\ttotal: 10ms\tremaining: 1s
1:\tlearn: 0.5931\ttest: 0.59\tbest: 0.59 (1)\ttotal: 20ms\tremaining: 0us
bestTest = 0.59
"""
    assert last(log) == {
        "train-logloss": 0.31,
        "eval-logloss": 0.4,
        "valid_0's auc": 0.96,
        "valid_0's binary_logloss": 0.41,
        "learn": 0.5931,
        "test": 0.59,
        "best": 0.59,
        "bestTest": 0.59,
    }


def test_of_sklearn() -> None:
    log = """Fitting 2 folds for each of 2 candidates, totalling 4 fits
[CV 1/2] END ...................C=1, gamma=0.1;, score=0.920 total time=   0.1s
[CV 2/2] END ...................C=1, gamma=0.1;, score=(train=0.980, test=0.930) total time=   0.1s
[CV 1/2] END C=10; accuracy: (train=0.970, test=0.946) f1_macro: (train=0.960, test=0.947) total time=   0.0s
[CV] END ........................C=1, gamma=0.1; total time=   0.1s
              precision    recall  f1-score   support

      setosa       1.00      1.00      1.00        10
        loss       0.90      0.95      0.92        11

    accuracy                           0.97        21
   macro avg       0.95      0.98      0.96        21
weighted avg       0.96      0.99      0.97        21

Iteration 1, loss = 1.46072723
Best score: 0.95
"""
    assert metrics_in(log) == [
        Metric("score", 0.92, 2),
        Metric("score", 0.93, 3),
        Metric("train_score", 0.98, 3),
        Metric("accuracy", 0.946, 4),
        Metric("train_accuracy", 0.97, 4),
        Metric("f1_macro", 0.947, 4),
        Metric("train_f1_macro", 0.96, 4),
        Metric("accuracy", 0.97, 11),
        Metric("macro avg precision", 0.95, 12),
        Metric("macro avg recall", 0.98, 12),
        Metric("macro avg f1-score", 0.96, 12),
        Metric("weighted avg precision", 0.96, 13),
        Metric("weighted avg recall", 0.99, 13),
        Metric("weighted avg f1-score", 0.97, 13),
        Metric("loss", 1.46072723, 15),
        Metric("Best score", 0.95, 16),
    ]


def test_tables_with_a_row_for_each_epoch() -> None:
    log = """
  epoch    train_loss    valid_acc     dur
-------  ------------  -----------  ------
      1        \x1b[36m0.6905\x1b[0m       0.5450  0.0345
      2        0.6805       0.5550  0.0345
      3        0.6705       0.5650
done: 1.5
      4        0.6605       0.5750  0.0345
"""
    assert metrics_in(log) == [
        Metric("train_loss", 0.6905, 4),
        Metric("valid_acc", 0.545, 4),
        Metric("train_loss", 0.6805, 5),
        Metric("valid_acc", 0.555, 5),
        Metric("done", 1.5, 7),
    ]


def test_tables_of_names_and_numbers() -> None:
    log = """
----------------------------
| rollout/      |          |
|   ep_rew_mean | 21.9     |
| time/         |          |
|   iterations  | 1        |
|   fps         | 1190     |
----------------------------
"""
    assert last(log) == {"ep_rew_mean": 21.9, "fps": 1190}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"cost is (?P<value>\S+)", [("value", 3.5), ("value", 2.5)]),
        (r"(?P<name>\w+) is (?P<value>\S+)", [("cost", 3.5), ("cost", 2.5), ("it", 97.0)]),
        (r"(?P<value>[\d.]+) (?P<name>\w+)", [("apples", 7.0)]),
        (r"cost is (\S+)", [("value", 3.5), ("value", 2.5)]),
        (r"(\w+) is (\S+)", [("cost", 3.5), ("cost", 2.5), ("it", 97.0)]),
        (r"(x)?(nothing)?(?P<value>7) ?", [("value", 7.0), ("value", 7.0)]),
    ],
)
def test_a_pattern(pattern: str, found: list[tuple[str, float]]) -> None:
    log = "cost is 9.5\rcost is 3.5\n\x1b[31mcost is\x1b[0m 2.5, it is red\nit is 97%\nit is 1e5x\n7 apples"
    assert named(log, pattern) == found


@pytest.mark.parametrize("pattern", ["(", r"\d+", "(a)(b)(c)", "(?P<name>a)", "(?P<number>a)"])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is no regular expression|use a group for it"):
        metrics_in("", pattern)


def test_lines_are_those_of_a_terminal() -> None:
    text = "a\rb\r\nloss: 1.5\rloss: 2.5\n\x1b[1mloss\x1b[0m: 3.5\x85\u2028\nx\x1b[A\rloss: 4.5\n"
    assert metrics_in(text) == [Metric("loss", 2.5, 2), Metric("loss", 4.5, 3)]


def test_only_the_end_of_a_long_line_counts() -> None:
    assert named("loss: 0.5 " + "x" * 9_990) == [("loss", 0.5)]
    assert named("loss: 0.5 " + "x" * 10_000) == []


PIECES = ["'", "\\'", '"', "{", "{'a", "a(", "a(b=", "np.f(", "= 1", "a=1 ", "a= ", " ", "1", "1.", "| ", "│a", ": "]
PIECES += ["1e", "a.", "nan", "+-", "a b(c ", "_", "a_", "[CV;a", "a=(train=", "\\", "{'\\"]
PIECES += ["a:", "a:1: ", "aError", "a.aError", "ERROR", "error: ", "  ", "| ", "Traceback (most recent call last):"]


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_lines_cost_little(piece: str) -> None:
    def read(line: str) -> None:
        for text in (line, "{" + line + "}", "[CV" + line):
            metrics_in(text)

    assert grows_like_its_input(read, piece, 8_000)


@given(st.text(alphabet="0123456789.,:;=%/|[](){}'\"e+- \r\n\x1b_aloss@━│", max_size=80))
def test_whatever_is_printed_names_are_names_and_values_numbers(text: str) -> None:
    for name, value, line in metrics_in(text):
        assert name.isprintable()
        assert name == " ".join(name.split()) != ""
        assert isinstance(value, float)
        assert 1 <= line <= text.count("\n") + 1


FORMS = [
    "loss: 0.31 acc=0.5",
    "epoch 3/20 - loss: 0.1234 - lr=1e-3",
    "f1 0.8",
    "f2 0.8",
    "top5: 0.3 top1: 0.2",
    "m10x: 1.5",
    "loss: 0.5 acc: 0.5",
    '{"step": 3, "loss": 0.25, "eval": {"acc": 12}}',
    "2024-01-01T12:00:00Z INFO loss: 0.3",
    '  File "a.py", line 3',
    "Traceback (most recent call last):",
    "ValueError: loss: 3",
    "UserWarning: loss: 3",
    "  epoch    train_loss    valid_loss",
    "      1        0.5000        0.6000",
    "| loss | 0.25 |",
    "worker-1 accuracy 0.5, loss 12",
    "loss: nan",
    "",
]


@given(st.lists(st.tuples(st.sampled_from(FORMS), st.integers(0, 10**9)), max_size=60))
def test_a_line_of_a_known_form_is_read_as_the_first_one(drawn: list[tuple[str, int]]) -> None:
    finder, anew = Finder(), Finder()
    for form, seed in drawn:
        line = "".join(str(1 + (seed + 7 * place) % 9) if char.isdecimal() else char for place, char in enumerate(form))
        assert repr(finder.pairs(line)) == repr(anew._look(line)), line
