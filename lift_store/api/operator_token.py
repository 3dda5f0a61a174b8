"""Who may see what operators see on the API port."""

import hmac

from starlette.requests import Request

from lift_store.api.auth import RejectedError
from lift_store.api.guard import bearer
from lift_store.api.problems import CHALLENGE, UNAUTHENTICATED, ProblemError
from lift_store.api.service import service_of


def is_operator(request: Request) -> bool:
    """Whether *request* came to the operator port, or has the operator token."""
    if request.app.state.operator_port:
        return True
    token = service_of(request).settings.operator_token
    try:
        sent = bearer(request)
    except RejectedError:
        return False
    # constant time, so that the answer's does not spell the token out
    return token is not None and hmac.compare_digest(sent.encode(), token.get_secret_value().encode())


async def require_operator(request: Request) -> None:
    """Raise a 401 problem unless *request* is an operator's."""
    if not is_operator(request):
        raise ProblemError(UNAUTHENTICATED, "This path takes the operator token.", headers=CHALLENGE)
