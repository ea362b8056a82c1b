"""From raw web pages to training text on datatrove: each page is kept, or dropped with a reason."""
