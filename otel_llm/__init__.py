"""Every Gemini and OpenAI call of an application as an OpenTelemetry span, with one line of code."""
