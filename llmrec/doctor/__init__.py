"""Looks at the machine: what works, what is missing and what to do, and which recipes it can run."""
