# make install: everything into .venv from the pins.  make demo: the embedded data set, end to end.
# make test: all checks but the slow ones.  make test-slow: the same run twice, thirty kills, and every fault of a real SLURM.
# make docs: the documents and the API as a site, below site/.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
UV := uv==0.13.8

.PHONY: install demo docs test test-slow

install: $(INSTALLED)

# Two packages first, for pydensecrf2 is built by them: in a build of its own it asks for a Cython that knows no Python 3.13.
# --compile-bytecode: torch and timm are imported in half the time, also by who may not write into .venv.
# --no-deps: constraints.txt names every package. Resolving would add opencv-python, which mmcv-lite asks for and which needs the
# system's OpenGL libraries; opencv-python-headless gives the same module without them.
$(INSTALLED): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(BIN)/uv pip install --python $(BIN)/python --no-deps $$(grep -E '^(cython|setuptools)==' constraints.txt)
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation-package pydensecrf2 --compile-bytecode --requirement constraints.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	touch $@

demo: $(INSTALLED)
	$(BIN)/snakemake --cores 2 results/sample/seg_miou.json results/sample/examples.png
	$(BIN)/python -m wsss.cli scores results/sample/seg_miou.json

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict --quiet

# One process per core, each with one thread: a file's tests stay together, because they share what they set up.
TEST := $(BIN)/python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder --durations 25
test test-slow: export OMP_NUM_THREADS = 1
test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/mkdocs build --strict --quiet
	$(TEST) -m "not slow"

test-slow: $(INSTALLED)
	$(TEST) -m slow
