"""What computes a served model: vLLM as a process behind HTTP, or transformers in this one."""
