"""The gateway: what stands between any OpenAI client and the engine."""
