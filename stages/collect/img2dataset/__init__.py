"""img2dataset's downloader in threads of this process, every download of which is ours."""
