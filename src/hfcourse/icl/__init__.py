"""In-context learning: tasks as data, demonstrations, and scores that share what prompts have in common."""
