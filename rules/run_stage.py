"""Run a rule's stage: hand its named files and parameters to ``run`` of the module that has its name.

The only file that sees the ``snakemake`` object. It also sets what is no parameter of a result: threads, the
visible GPUs, and where messages go.
"""

import importlib
import logging
import os
import platform
import signal
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.artefacts.identity import Identity

# What only tells Snakemake when to run: the code's digest, and files that the stage finds by its settings.
NO_ARGUMENTS = ("code", "initial_file", "tables")
# A batch is part of what defines a training: with another one it starts anew.
FULL_GPU = (
    "the GPU's memory is full. If another job is on it (nvidia-smi), lower execution.jobs_per_gpu. If a "
    "training fills it, lower the training's batch and raise its accumulate by the same factor, or set "
    "precision: mixed; if a prediction does, lower its sides or scales"
)
FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def keywords(*groups: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Join a rule's named inputs, outputs and params, without what is no argument; no files are none."""
    pairs = [(name, value) for group in groups for name, value in group if name not in NO_ARGUMENTS]
    files = [name for name, value in pairs if type(value).__name__ == "Namedlist"]
    result = {name: list(value) if name in files else value for name, value in pairs}
    return {name: value for name, value in result.items() if name not in files or value}


def set_gpus(count: int, jobs_per_gpu: int) -> None:
    """Show this process, before torch is imported, as many GPUs as the rule asked for, and no others."""
    from wsss.runtime.gpu_pool import claim

    devices = claim(count, jobs_per_gpu) if count else []
    if devices or not count:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)


def set_threads(threads: int) -> None:
    """Limit this process to the threads that the rule asked for, before torch is imported and after."""
    from wsss.runtime.threads import limit_threads

    limit_threads(threads)
    # Waiting threads sleep: where jobs outnumber cores, spinning ones were seen to slow all of them tenfold.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def set_logging(rule: str, path: str, started: bool = False, rank: int = 0) -> None:
    """Send all messages and warnings to the rule's log, and the project's own to the terminal.

    Of the processes started to train together, which write to one log, all but the first report errors alone.
    """
    if not started:
        Path(path).write_bytes(b"")
    file = logging.FileHandler(path, mode="a", encoding="utf-8")  # "w" would write over what they append
    file.setFormatter(logging.Formatter(FILE_FORMAT))
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter(f"{rule}: %(message)s"))
    terminal.addFilter(lambda record: record.name.startswith(("wsss", rule)))
    logging.basicConfig(level=logging.ERROR if rank else logging.INFO, handlers=[file, terminal], force=True)
    logging.captureWarnings(True)


def report_failures(rule: str) -> None:
    """Put a failure's traceback into the log; the project's own errors are one message in the terminal."""
    log = logging.getLogger(rule)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logging.getLogger("traceback").error("stage failed", exc_info=(kind, error, trace))
        if kind.__module__.partition(".")[0] == "wsss":
            log.error("%s", own_words(error))
        elif kind.__name__ == "OutOfMemoryError":  # torch's
            log.error("%s\n%s", error, FULL_GPU)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = report


def own_words(error: BaseException) -> str:
    """An error's message, without the traceback that torch puts before what a loading process raised."""
    before, name, message = str(error).rpartition(f"{type(error).__name__}: ")
    return message.rstrip() if before.startswith("Caught ") and name else str(error)


def leave_at_sigterm(rule: str) -> None:
    """End at SIGTERM by the usual road, on which unfinished files go; a training saves its state before."""

    def leave(number: int, frame: FrameType | None) -> None:
        logging.getLogger(rule).error("stopped by SIGTERM; run the same command to go on")
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def sharing_gpus(snakemake: Any) -> int:
    """GPUs that share this job's training; none where it trains nothing."""
    if not snakemake.rule.startswith("train_"):
        return 0
    found = int(snakemake.resources.gpu)
    asked = snakemake.config.get("execution", {}).get("gpus", {}).get(snakemake.rule, 1)
    if 0 < found < asked:
        message = "trains on %d of the %d GPUs of execution.gpus: --resources gpu= offers no more"
        logging.getLogger(snakemake.rule).warning(message, found, asked)
    return found


def cluster_launcher(snakemake: Any) -> str | None:
    """The command that starts a training's processes on the job's nodes; None where the job is on one."""
    resources = snakemake.resources
    if "mpi" not in resources.keys():  # noqa: SIM118 (no mapping: `in` looks at values)
        return None
    each = resources.gpu // resources.nodes
    # Said anew: the plugin takes from the job's environment what srun would have known by itself.
    options = {
        "nodes": resources.nodes,
        "ntasks-per-node": each,
        "gpus-per-node": each,
        "cpus-per-task": own_threads(snakemake, resources.gpu),
    }
    return " ".join([resources.mpi, *(f"--{name}={value}" for name, value in options.items())])


def own_threads(snakemake: Any, size: int) -> int:
    """Threads of each of the processes that share the job's."""
    given = getattr(snakemake.resources, "cpus_per_task", None) if size > 1 else None
    return int(given or max(1, snakemake.threads // size))


def log_making(snakemake: Any) -> None:
    """Say in the log what makes the result: its code, as its header does, and the versions."""
    parts = {
        "code": snakemake.params.get("code"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "gpus": snakemake.resources.gpu,
    }
    text = ", ".join(f"{name} {value}" for name, value in parts.items())
    logging.getLogger("making").info("made with %s", text)


def identity_of(snakemake: Any) -> "Identity":
    """The job, as the headers of its artefacts name it; what a wildcard says is not said twice."""
    from wsss.artefacts.identity import Identity

    said = dict(snakemake.wildcards.items())
    settings = {
        name: value for name, value in snakemake.params.items() if name != "code" and said.get(name) != value
    }
    return Identity(snakemake.rule, said, settings, snakemake.params.get("code"))


def main(snakemake: Any) -> None:
    """Run the stage that has the rule's name."""
    # Run the code that the Snakefile took the digest of, whatever is installed.
    root = Path(snakemake.scriptdir).parent
    sys.path.insert(0, str(root))
    from wsss.artefacts.identity import making
    from wsss.runtime.imports import uncollected
    from wsss.runtime.launch import follow_parent, launch, place
    from wsss.workflow.fingerprint import module_of

    here = place()
    follow_parent()
    set_logging(snakemake.rule, snakemake.log[0], here.size > 1, here.rank)
    report_failures(snakemake.rule)
    leave_at_sigterm(snakemake.rule)
    if here.size == 1:
        set_gpus(snakemake.resources.gpu, snakemake.config.get("execution", {}).get("jobs_per_gpu", 1))
        if (size := sharing_gpus(snakemake)) > 1:
            return launch([sys.executable, *sys.argv], size, cluster_launcher(snakemake))
    with uncollected():
        set_threads(threads := own_threads(snakemake, here.size))
        stage = importlib.import_module(module_of(snakemake.rule, root / "wsss"))
        set_threads(threads)
    log_making(snakemake)
    groups = (snakemake.input, snakemake.output, snakemake.params)
    with making(identity_of(snakemake)):
        stage.run(**keywords(*(group.items() for group in groups)))


if __name__ == "__main__":
    main(snakemake)  # type: ignore[name-defined]  # noqa: F821
