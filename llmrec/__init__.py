"""llmrec turns a catalogue and an interaction log into a multimodal language model that ranks and explains."""

__version__ = "0.1.0"
