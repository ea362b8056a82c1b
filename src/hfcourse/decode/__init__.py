"""How the next token is chosen, on plain logits: filters, searches, and the other way, all tokens at once."""
