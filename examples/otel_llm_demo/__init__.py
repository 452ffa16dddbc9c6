"""The demo: a desk that answers questions about old books, as three small services.

``web`` takes a question and streams the answer, ``retrieval`` finds the passages that bear on it, ``understanding``
says what it is about. They call each other over HTTP and use the real google-genai and openai SDKs; all they know of
telemetry is one line, ``otel_llm.instrument(...)``. Without keys the SDKs talk to a scripted provider; see
``otel-llm demo``.
"""
