"""The floor: an async HTTP function that reads its request and acknowledges it."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response


@functions_framework.aio.http
async def handle(request: Request) -> Response:
    """Answer 204."""
    await request.body()
    return Response(status_code=204)
