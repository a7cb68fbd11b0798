# Two commands: `make book` (the site) and `make test` (the proof). Each sets up what it needs; see README.md.
PYTHON ?= python3
RUN := .venv/bin/python

help:
	@echo "make book     build the site from a bare clone (_build/html/index.html)"
	@echo "make test     prove it: unit tests, every notebook, every page in a browser"
	@echo "make lab      open the notebooks in JupyterLab"
	@echo "make serve    serve the built site on http://localhost:8000"
	@echo "make slides   lecture decks of 45 minutes, one per chapter (_build/slides/index.html; MINUTES=90: longer)"
	@echo "make pdf      print the book to one PDF (_build/dlnotes-<version>.pdf)"
	@echo "make bundle   pack site, PDF, notebooks, wheels and weights for a place without the internet (one zip)"
	@echo "make bench    print the benchmarks"
	@echo "make versions run the unit tests under other Pythons and torches: PYTHONS=\"python3.10 python3.13\" TORCHES=\"oldest pinned newest\""
	@echo "make outputs  execute the notebooks and store the outputs that the tests compare"
	@echo "make chapter NAME=11_detection  begin a chapter that passes every test"
	@echo "make clean    remove what was built (the environment stays; remove .venv to start afresh)"

setup:
	@$(PYTHON) tools/setup_env.py

book: setup
	@$(RUN) tools/build_book.py

test: book
	@$(RUN) tools/run_tests.py

lab: setup
	@$(RUN) -m jupyterlab book

serve:
	@test -f _build/html/index.html || { echo "make serve: there is no site yet; run make book first."; exit 1; }
	@echo "http://localhost:8000 (Ctrl+C stops it)"
	@$(RUN) -m http.server 8000 --bind 127.0.0.1 --directory _build/html

slides: setup
	@$(RUN) tools/build_slides.py $(if $(MINUTES),--minutes $(MINUTES))

pdf: book
	@$(RUN) tools/make_pdf.py

bundle: pdf
	@$(RUN) tools/make_bundle.py

bench: setup
	@$(RUN) tools/run_benchmarks.py

versions:
	@$(PYTHON) tools/run_versions.py

outputs: setup
	@$(RUN) tools/outputs.py

chapter: setup
	@$(RUN) tools/new_chapter.py $(NAME)

clean:
	@rm -rf _build

.PHONY: help setup book test lab serve slides pdf bundle bench versions outputs chapter clean
