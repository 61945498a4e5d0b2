"""Take-downs as pages need them: what may not be shown or handed out, and requests for more."""
