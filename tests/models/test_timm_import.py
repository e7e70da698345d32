"""What is started from scratch, in a process of its own: timm without the compiler, and with it after all."""

import subprocess
import sys

COMPILED = "sympy", "torch._dynamo"


def ran(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_models_are_imported_without_the_compiler() -> None:
    loaded = ran(f"import sys, wsss.models.apc; print([name for name in {COMPILED} if name in sys.modules])")
    assert loaded == "[]"


def test_the_network_that_labels_images_needs_no_mmsegmentation() -> None:
    loaded = ran(
        "import sys, wsss.models.deeplabv2_network\n"
        "print([name for name in ('mmcv', 'mmengine', 'mmseg') if name in sys.modules])"
    )
    assert loaded == "[]"


def test_torch_compiles_as_ever_afterwards() -> None:
    program = (
        "import wsss.models, torch\n"
        "function = torch.compile(lambda value: value + 1, backend='eager')\n"
        "print(function(torch.ones(1)).item(), torch.compiler.disable.__module__)"
    )
    assert ran(program) == "2.0 torch.compiler"


def test_timm_imported_before_is_left_alone() -> None:
    assert ran("import timm, sys, wsss.models; print('torch._dynamo' in sys.modules)") == "True"
