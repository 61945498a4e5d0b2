"""Forms: what a page that writes was sent, once it is sure that our own page sent it."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

from dashboard.web.security import Access

FIELD = "form_token"
"""The hidden field that every form that writes has; its value is `access.form_token`."""
CONTENT_TYPE = "application/x-www-form-urlencoded"
LIMIT = 1_000_000
"""Bytes of a form's body."""
FIELDS = 32


async def signed_form(request: Request) -> Mapping[str, str]:
    """The fields of a form; of one that is given twice, the last.

    Raises:
        HTTPException: 403 where its token is not of this process, 413 above `LIMIT`, 415 where it is no form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise HTTPException(415, "This is no form that a page of the dashboard sends; nothing was changed.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            raise HTTPException(
                413, f"A form may have {LIMIT:,} bytes; nothing was changed. Send less at a time."
            )
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "This form cannot be read; nothing was changed.") from error
    fields = dict(pairs)
    access: Access = request.app.state.access
    if not access.accepts_form(fields.pop(FIELD, "")):
        raise HTTPException(
            403, "This form is of an earlier run of the dashboard; nothing was changed. Open its page again."
        )
    return fields


SignedForm = Annotated[Mapping[str, str], Depends(signed_form)]
"""Parameter of a page that writes: the form's fields."""
