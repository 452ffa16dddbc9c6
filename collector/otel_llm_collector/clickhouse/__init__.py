"""ClickHouse, in this process or a server: tables and what is put into them."""
