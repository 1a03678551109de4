"""How many servers a load needs: measured service times, a queueing model, and what follows."""
