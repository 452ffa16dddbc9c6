"""The demo: three small services that use the real SDKs and call each other over HTTP."""
