"""What rows come from: URL tables, folders, tars and Parquet files of pictures, read within limits."""
