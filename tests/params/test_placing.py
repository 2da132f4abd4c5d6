"""Where in a cell the parameters stand."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.params import in_its_lines, with_params
from hopx_magics.words import Language
from tests.growth import grows_like_its_input

from .conftest import INSERTED, from_python, output_of

# ---------------------------------------------------------------- where they stand in Python


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        # Nothing in the cell says where: ahead, in one line.
        ("print(lr)\n", "<lr, seed>\nprint(lr)\n"),
        ("", "<lr, seed>\n"),
        ("\n\nprint(lr)", "<lr, seed>\n\nprint(lr)"),
        ("@f\ndef g(): ...\n", "<lr, seed>\n@f\ndef g(): ...\n"),
        ("if True:\n    lr = 1\n", "<lr, seed>\nif True:\n    lr = 1\n"),
        ("def f():\n    lr = 1\n", "<lr, seed>\ndef f():\n    lr = 1\n"),
        ("(lr := 1)\nlr += 1\nlr: int\n", "<lr, seed>\n(lr := 1)\nlr += 1\nlr: int\n"),
        ("x[lr] = 1\nlr.x = 1\n", "<lr, seed>\nx[lr] = 1\nlr.x = 1\n"),
        # What has to stay in front.
        ('"""doc"""\nprint(1)\n', '"""doc"""; <lr, seed>\nprint(1)\n'),
        ('"""doc\n# parameters\nlr = 1\n"""', '"""doc\n# parameters\nlr = 1\n"""; <lr, seed>'),
        (
            '# a\n"""doc\n"""\nfrom __future__ import annotations\nfrom __future__ import (\n    division,\n)\nf()\n',
            '# a\n"""doc\n"""\nfrom __future__ import annotations\nfrom __future__ import (\n    division,\n)'
            "; <lr, seed>\nf()\n",
        ),
        ("from __future__ import division; x = [\n1]\n", "from __future__ import division; x = [\n1]; <lr, seed>\n"),
        ("print(1)\n'no docstring'\n", "<lr, seed>\nprint(1)\n'no docstring'\n"),
        ("#!/usr/bin/python\nprint(1)\n", "#!/usr/bin/python\n<lr, seed>\nprint(1)\n"),
        ("# coding: latin-1\nprint(1)\n", "# coding: latin-1\n<lr, seed>\nprint(1)\n"),
        ("#!/a\n# -*- coding: utf-8 -*-\nprint(1)\n", "#!/a\n# -*- coding: utf-8 -*-\n<lr, seed>\nprint(1)\n"),
        ("x = 1\n# coding: utf-8\n", "<lr, seed>\nx = 1\n# coding: utf-8\n"),
        # The cell assigns it: behind its first assignment.
        ("import a\nlr = 1\nlr = 2\n", "<seed>\nimport a\nlr = 1; <lr>\nlr = 2\n"),
        ("lr: float = 1\n", "<seed>\nlr: float = 1; <lr>\n"),
        ("lr = 1", "<seed>\nlr = 1; <lr>"),
        ("lr = 1; print(lr)\nx\n", "<seed>\nlr = 1; print(lr); <lr>\nx\n"),
        ("lr = 1; x = [\n  2,\n]\n", "<seed>\nlr = 1; x = [\n  2,\n]; <lr>\n"),
        ("lr = 1 \\\n; x = 2\n", "<seed>\nlr = 1 \\\n; x = 2; <lr>\n"),
        ("lr = 1 + \\\n    2\nx\n", "<seed>\nlr = 1 + \\\n    2; <lr>\nx\n"),
        ("lr = (\n    1  # one\n)  # all\nx\n", "<seed>\nlr = (\n    1  # one\n); <lr>  # all\nx\n"),
        ("lr = '''\nlr = 2\n'''\n", "<seed>\nlr = '''\nlr = 2\n'''; <lr>\n"),
        ("lr = seed = 1\nx\n", "lr = seed = 1; <lr, seed>\nx\n"),
        ("lr, (seed, *x) = 1, (2, 3)\nx\n", "lr, (seed, *x) = 1, (2, 3); <lr, seed>\nx\n"),
        ("seed = 1\nx\nlr = 2\n", "seed = 1; <seed>\nx\nlr = 2; <lr>\n"),
        ("'''doc'''\nlr = 1\n", "'''doc'''; <seed>\nlr = 1; <lr>\n"),
        ("lr = 1\r\nx = 2\r\n", "<seed>\nlr = 1; <lr>\r\nx = 2\r\n"),
        ("lr = 1\rx = 2\r", "<seed>\nlr = 1; <lr>\rx = 2\r"),
        ("x = '\x0c\u2028'\nlr = 1\nx\n", "<seed>\nx = '\x0c\u2028'\nlr = 1; <lr>\nx\n"),
        # The line `# parameters`: behind the assignments that follow it.
        (
            "x = 1\n# parameters\nlr = 1\nseed: int = 2\nx()\n",
            "x = 1\n# parameters\nlr = 1\nseed: int = 2; <lr, seed>\nx()\n",
        ),
        ("# Parameters  \n\nlr = 1\n\n# why\nx: int\ny = 1\n\nx()\n", None),
        ("lr = 0\n# parameters\nx()\nlr = 1\n", "lr = 0\n<lr, seed>  # parameters\nx()\nlr = 1\n"),
        ("x()\n# parameters", "x()\n<lr, seed>  # parameters"),
        ("# parameters\na, lr = 1, 2\nx()\n", "# parameters\na, lr = 1, 2; <lr, seed>\nx()\n"),
        ("# parameters\nlr = 1; x()\ny = 1\n", "# parameters\nlr = 1; x(); <lr, seed>\ny = 1\n"),
        ("# parameters\nx()\n# parameters\nlr = 1\n", "<lr, seed>  # parameters\nx()\n# parameters\nlr = 1\n"),
        (
            "# parameters\n'''doc'''\nfrom __future__ import division\nx()\n",
            "# parameters\n'''doc'''\nfrom __future__ import division; <lr, seed>\nx()\n",
        ),
        ("# parameters\n# coding: utf-8\nx()\n", "# parameters\n# coding: utf-8\n<lr, seed>\nx()\n"),
        # What only looks like that line.
        ("x = '''\n# parameters\nlr = 1\n'''\n", "<lr, seed>\nx = '''\n# parameters\nlr = 1\n'''\n"),
        ("x = [\n# parameters\n1]\n", "<lr, seed>\nx = [\n# parameters\n1]\n"),
        ("def f():\n    x\n# parameters\n    y\n", "<lr, seed>\ndef f():\n    x\n# parameters\n    y\n"),
        ("if 1:\n    x\n# parameters\nelse:\n    y\n", "<lr, seed>\nif 1:\n    x\n# parameters\nelse:\n    y\n"),
        ("@f\n# parameters\ndef g(): ...\n", "<lr, seed>\n@f\n# parameters\ndef g(): ...\n"),
        ("x()  # parameters\n", "<lr, seed>\nx()  # parameters\n"),
        ("# parameters of the model\nx()\n", "<lr, seed>\n# parameters of the model\nx()\n"),
        ("if 1:\n    # parameters\n    x\n", "<lr, seed>\nif 1:\n    # parameters\n    x\n"),
        ("lr = 'é𝄞'  # why\nx\n", "<seed>\nlr = 'é𝄞'; <lr>  # why\nx\n"),
        ("lr = 1; # why\nx\n", "<seed>\nlr = 1; <lr> # why\nx\n"),
        ("lr = 1 \\\n\nx\n", "<seed>\nlr = 1; <lr> \\\n\nx\n"),
        # What this Python can't parse.
        ("#!/a\nlr = = 1\n", "#!/a\n<lr, seed>\nlr = = 1\n"),
        ("lr = '\0'\n", "<lr, seed>\nlr = '\0'\n"),
        ("lr = 1\nx = '''\n", "<lr, seed>\nlr = 1\nx = '''\n"),
    ],
)
def test_place_in_python(code: str, sent: str | None) -> None:
    if sent is None:
        sent = code.replace("y = 1\n", "y = 1; <lr, seed>\n")
    assignments = {"<lr, seed>": "lr = 0.1; seed = 3", "<lr>": "lr = 0.1", "<seed>": "seed = 3"}
    for place, text in assignments.items():
        sent = sent.replace(place, text + INSERTED)
    assert with_params(code, "python", {"lr": 0.1, "seed": 3}) == sent


PIECES = st.sampled_from(
    [
        "lr = 1",
        "lr: float = 1",
        "seed = lr = 1; x = 2",
        "lr = [\n    1,\n# parameters\n]; x = '''\n'''",
        "seed = 1 + \\\n    2",
        "# parameters",
        "# PARAMETERS",
        "",
        "    ",
        "x = f'''\n# parameters\nlr = {1}\n'''",
        "@f\n# parameters\n@f\nasync def g():\n    '''doc\n    '''\n# parameters\n    lr = 1\n",
        "for lr in 1, 2:\n\tseed = 3\n# parameters\nelse:\n\tpass",
        "class lr:\n    # parameters\n    seed = 1; lr = 2",
        "'''text\n'''",
        "x = '\x0c\x1c\u2028'",
        "\\\nlr = 2",
    ]
)
HEAD = st.sampled_from(
    ["", "#!/a\n", "# coding: utf-8\n", "'''doc'''\n", "'''doc'''; from __future__ import division\n"]
)


@given(HEAD, st.lists(PIECES), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_a_cell_stays_what_it_is_and_where_it_is(head: str, pieces: list[str], newline: str, has_end: bool) -> None:
    code = (head + "\n".join(pieces) + ("\n" if has_end else "")).replace("\n", newline)
    cell = in_its_lines(code, "python", 2)
    sent = with_params(cell, "python", {"lr": 0.1, "seed": 3})

    def statements(source: str, *, where: bool) -> list[str]:
        return [ast.dump(statement, include_attributes=where) for statement in ast.parse(source).body]

    assert statements(cell, where=False) == statements(code, where=False)
    kept = iter(statements(sent, where=True))
    assert all(statement in kept for statement in statements(cell, where=True))  # in this order, and in these lines
    assert len(statements(sent, where=False)) == len(statements(code, where=False)) + 2


def test_a_param_takes_effect_where_the_cell_has_its_default() -> None:
    cell = "'''doc'''\nfrom __future__ import annotations\nlr: float = 1.0\nhalf = lr / 2\n"
    variables: dict[str, Any] = {}
    exec(with_params(cell, "python", {"lr": 0.5}), variables)
    assert variables["half"] == 0.25


def test_a_declared_encoding_does_not_change_the_values(folder: Path) -> None:
    code = with_params("# coding: latin-1\nprint(ascii(x))\n", "python", {"x": {"é": "ß𝄞"}})
    assert ast.literal_eval(from_python(code, folder).decode()) == {"é": "ß𝄞"}


def test_a_long_cell_is_no_trouble() -> None:
    code = "".join(f"x{number} = {number}\n" for number in range(20_000))
    assert with_params(code, "python", {"x19999": 1}) == f"{code.rstrip()}; x19999 = 1{INSERTED}\n"
    assert grows_like_its_input(lambda cell: with_params(cell, "python", {"x": 1}), "y = 1\n", 6 * 8_000)


# ---------------------------------------------------------------- where they stand in the others


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        ("echo $lr\n", "<>echo $lr\n"),
        ("#!/bin/bash\necho $lr\n", "#!/bin/bash\n<>echo $lr\n"),
        ("#!/bin/bash", "#!/bin/bash\n<>"),
        ("# a comment\n", "<># a comment\n"),
    ],
)
def test_place_in_bash(code: str, sent: str) -> None:
    sent = sent.replace("<>", "lr=0.1; name='a b'; ")
    assert with_params(code, "bash", {"lr": 0.1, "name": "a b"}) == sent


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        ("f()\n", "<>f()\n"),
        ("// a\nf()\n", "<>// a\nf()\n"),
        ("#!/usr/bin/node\nf()\n", "#!/usr/bin/node\n<>f()\n"),
        ("#!/usr/bin/node", "#!/usr/bin/node\n<>"),
        ("'use strict'\nf()\n", "'use strict'\n<>f()\n"),
        ('"use strict";\r\nf()\r\n', '"use strict";\r\n<>f()\r\n'),
        ('"use strict"; f()\n', '"use strict";<> f()\n'),
        ('"use strict"', '"use strict"\n<>'),
        (
            "#!/a\n// a\n/* b\n */ 'use strict';\n'use asm'\n\nf()\n",
            "#!/a\n// a\n/* b\n */ 'use strict';\n'use asm'\n<>\nf()\n",
        ),
        ("'use strict'.length\n", "<>'use strict'.length\n"),
        ("/**/" * 10_000 + "f()", "<>" + "/**/" * 10_000 + "f()"),
    ],
)
def test_place_in_javascript(code: str, sent: str) -> None:
    sent = sent.replace("<>", 'const lr = 0.1; const name = "a b"; ')
    assert with_params(code, "javascript", {"lr": 0.1, "name": "a b"}) == sent


def test_strict_code_stays_strict(folder: Path) -> None:
    code = "// a\n'use strict'\nprocess.stdout.write(String((function () { return this })()))"
    assert output_of(["node"], with_params(code, "javascript", {"x": 1}), folder) == b"undefined"


def test_no_value_sets_a_prototype(folder: Path) -> None:
    code = with_params("process.stdout.write(String(x.stolen))", "javascript", {"x": {"__proto__": {"stolen": 1}}})
    assert output_of(["node"], code, folder) == b"undefined"


@pytest.mark.parametrize("language", ["python", "bash", "javascript", "go"])
def test_without_params_the_code_is_as_it_was(language: Language) -> None:
    code = "\r\n'use strict'\r# parameters\x0c"
    assert with_params(code, language, {}) is code


@pytest.mark.parametrize(
    ("language", "code", "sent"),
    [
        ("python", "x\n", "\n\nx\n"),
        ("python", "#!/a\n# coding: utf-8\r\nx\n", "#!/a\n# coding: utf-8\r\n\n\nx\n"),
        ("bash", "#!/bin/bash\nx\n", "#!/bin/bash\n\n\nx\n"),
        ("bash", "# coding: utf-8\nx\n", "\n\n# coding: utf-8\nx\n"),
        ("javascript", "#!/a", "#!/a\n\n\n"),
        ("go", "package main\n", "\n\npackage main\n"),
    ],
)
def test_code_stands_in_the_lines_of_its_cell(language: Language, code: str, sent: str) -> None:
    assert in_its_lines(code, language, 3) == sent
    assert in_its_lines(code, language, 1) is code


@pytest.mark.parametrize(
    ("language", "program", "code"),
    [
        ("python", [sys.executable], "'doc'\nfrom __future__ import annotations\nx = lr = 1\n\n1 / 0\n"),
        ("bash", ["bash"], "#!/bin/bash\ncat <<E >&2\n$x\nE\nnot-a-command\n"),
        ("javascript", ["node"], "'use strict'\n\n\n\nthrow new Error(x)\n"),
    ],
)
def test_an_error_names_the_line_of_the_cell(language: Language, program: list[str], code: str, folder: Path) -> None:
    file = folder / "cell.js"
    file.write_text(with_params(in_its_lines(code, language, 3), language, {"lr": 2, "x": "two\nlines"}))
    stderr = subprocess.run([*program, str(file)], capture_output=True, text=True, check=False).stderr
    assert re.search(r"cell\.js(?:\", line |: line |:)(\d+)", stderr)[1] == "7"  # type: ignore[index]


def test_no_params_for_go() -> None:
    with pytest.raises(ValueError, match=r"^parameters are not for go cells: use --env$"):
        with_params("package main", "go", {"x": 1})
