"""What a params file may name: models, platforms, tasks."""
