"""Run a rule's stage: hand its named files and parameters to ``wsss.stages.<rule>.run``.

The only file that sees the ``snakemake`` object. It also sets what is no parameter of a result: threads, the
visible GPUs, and where messages go.
"""

import importlib
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

# What only tells Snakemake when to run: the code's digest, and a file that the stage reads by its `initial`.
NO_ARGUMENTS = ("code", "initial_file")
FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def keywords(*groups: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Join a rule's named inputs, outputs and params, without what is no argument; no files are none."""
    pairs = [(name, value) for group in groups for name, value in group if name not in NO_ARGUMENTS]
    files = [name for name, value in pairs if type(value).__name__ == "Namedlist"]
    result = {name: list(value) if name in files else value for name, value in pairs}
    return {name: value for name, value in result.items() if name not in files or value}


def set_resources(threads: int, gpus: int) -> None:
    """Limit this process, before torch is imported, to the threads and GPUs that the rule asked for."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Waiting threads sleep: where jobs outnumber cores, spinning ones were seen to slow all of them tenfold.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    torch.set_num_threads(threads)


def set_logging(rule: str, path: str) -> None:
    """Send all messages and warnings to the rule's log, and the project's own to the terminal."""
    file = logging.FileHandler(path, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter(FILE_FORMAT))
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter(f"{rule}: %(message)s"))
    terminal.addFilter(lambda record: record.name.startswith(("wsss", rule)))
    logging.basicConfig(level=logging.INFO, handlers=[file, terminal], force=True)
    logging.captureWarnings(True)


def report_failures(rule: str) -> None:
    """Put a failure's traceback into the log; the project's own errors are one message in the terminal."""
    log = logging.getLogger(rule)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logging.getLogger("traceback").error("stage failed", exc_info=(kind, error, trace))
        if kind.__module__.partition(".")[0] == "wsss":
            log.error("%s", error)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = report


def main(snakemake: Any) -> None:
    """Run the stage that has the rule's name."""
    # Run the code that the Snakefile took the digest of, whatever is installed.
    sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
    set_logging(snakemake.rule, snakemake.log[0])
    report_failures(snakemake.rule)
    set_resources(snakemake.threads, snakemake.resources.gpu)
    stage = importlib.import_module(f"wsss.stages.{snakemake.rule}")
    groups = (snakemake.input, snakemake.output, snakemake.params)
    stage.run(**keywords(*(group.items() for group in groups)))


if __name__ == "__main__":
    main(snakemake)  # type: ignore[name-defined]  # noqa: F821
