"""What alembic runs: the migrations on the connection it was handed, then the append-only triggers."""

from alembic import context

from db.triggers import create_triggers

connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
    create_triggers(connection)
