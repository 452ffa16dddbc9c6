"""A help desk as three services and a worker: one question of a customer is one trace across all four processes.

``gateway`` (FastAPI) streams the answer that ``answers`` (Flask) writes, and opens a ticket at ``tickets`` (Starlette);
``worker`` takes jobs from a queue. ``python -m helpdesk`` runs it all.
"""
