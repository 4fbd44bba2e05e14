"""`python -m llmrec` is the `llmrec` command."""

from llmrec.cli import main

main()
