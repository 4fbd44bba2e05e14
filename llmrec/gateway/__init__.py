"""The gateway: recommendations, explanations and chat over HTTP, in the form that OpenAI clients speak."""
