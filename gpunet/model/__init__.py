"""Networks: specs with their parts and shapes, entries and their records, torch modules, preprocessing."""
