"""The agent's SQLite database: schema, migrations, repositories, transactions."""
