"""Take-downs (erasure requests): their records, who holds a picture, where its bytes lie, their purge."""
